// All texts of the page in English and Chinese, and the functions that show them.

const words = {
  sandbox: ["Sandbox", "沙箱"],
  other_language: ["中文", "English"],
  api_docs: ["API", "接口文档"],
  heading: ["Sign in as a user of your app would", "像用户一样登录一次"],
  intro: [
    "This page plays the phone and the WeChat mini program. The service behind it is the real one; only Authing and its users are made up.",
    "本页面扮演手机和微信小程序。背后是真实的服务，只有 Authing 和用户是模拟的。",
  ],
  next_sign_in: ["Begin with the green button.", "请点绿色按钮开始。"],
  next_trouble: ["Now lose an answer, or steal this token.", "接下来试试“丢失响应”，或者“盗走 refresh token”。"],
  guide_1: ["Press the green button on the phone.", "点手机上的绿色按钮。"],
  guide_2: ["Allow or cancel in the mini program.", "在小程序里允许或取消。"],
  guide_3: ["Read each request and its answer.", "查看每个请求和响应。"],
  phones: ["Phones", "手机"],
  add_phone: ["Add a second phone", "再加一部手机"],
  phone: ["iPhone {number}", "iPhone {number}"],
  hello: ["Your app", "您的 App"],
  hello_more: ["No user is signed in on this phone.", "这部手机尚未登录。"],
  sign_in: ["Sign in with WeChat", "微信登录"],
  sign_in_again: ["Sign in again", "重新登录"],
  mini_program: ["WeChat mini program", "微信小程序"],
  mini_program_asks: ["The app asks for your profile.", "App 申请获取您的用户信息。"],
  who: ["Who signs in", "登录用户"],
  share_phone: ["Share the phone number", "同时提供手机号"],
  too_late: ["Return too late: the ticket has expired", "返回太晚：ticket 已过期"],
  allow: ["Allow", "允许"],
  cancel: ["Cancel", "取消"],
  persona_lin: ["{name}", "{name}"],
  persona_chen: ["{name}", "{name}"],
  persona_tuan: ["{name}", "{name}"],
  persona_placeholder: ["{name} (no name set)", "{name}（未设置昵称）"],
  persona_blocked: ["{name} (blocked at Authing)", "{name}（被 Authing 停用）"],
  persona_deleted: ["{name} (deleted at Authing)", "{name}（已从 Authing 删除）"],
  no_number: ["Phone number not shared", "未提供手机号"],
  state_out: ["signed out", "未登录"],
  state_consent: ["in WeChat", "微信授权中"],
  state_in: ["signed in", "已登录"],
  state_ended: ["session ended", "会话已结束"],
  access_token: ["Access token", "access token"],
  refresh_token: ["Refresh token", "refresh token"],
  session_end: ["Session ends at the latest in", "会话最晚结束于"],
  run_out: ["expired", "已过期"],
  minutes: ["{minutes}:{seconds}", "{minutes}:{seconds}"],
  hours: ["{hours} h {minutes} min", "{hours} 小时 {minutes} 分"],
  days: ["{days} d {hours} h", "{days} 天 {hours} 小时"],
  refresh: ["Refresh", "刷新"],
  call_api: ["Call the API", "调用接口"],
  list: ["My sessions", "我的会话"],
  end_others: ["Log out other phones", "退出其他手机"],
  log_out: ["Log out", "退出登录"],
  steal: ["Steal this token", "盗走 refresh token"],
  this_phone: ["this phone", "本机"],
  decoded: ["Decoded access token", "解码后的 access token"],
  history: ["History of this session", "会话历史"],
  event_opened: ["Signed in", "登录"],
  event_login_replayed: ["Login sent again", "重发登录"],
  event_session_bound: ["Bound to a key of the phone", "绑定手机密钥"],
  event_refreshed: ["Refreshed", "刷新"],
  event_refresh_replayed: ["Refresh sent again", "重发刷新"],
  event_rolled_forward: ["Repaired after a lost write", "写入丢失后修复"],
  event_proof_refused: ["Proof refused", "证明被拒绝"],
  event_refresh_reused: ["A used refresh token came back", "已用过的 refresh token 再次出现"],
  event_ended: ["Ended", "会话结束"],
  event_banned: ["Banned", "封禁"],
  event_ban_lifted: ["Ban lifted", "解除封禁"],
  see_traffic: ["See the requests", "查看请求"],
  tools: ["Make it go wrong", "制造故障"],
  next_request: ["The next login or refresh", "下一次登录或刷新"],
  lose: ["Lose this answer", "丢失响应"],
  twice: ["Send it twice at once", "同时发送两次"],
  next_request_hint: [
    "The app sends it again with the same Idempotency-Key, and nothing is lost.",
    "App 会以相同的 Idempotency-Key 重发，什么都不会丢失。",
  ],
  service: ["The service", "服务设置"],
  one_phone: ["One phone of each type", "同类设备仅限一台"],
  one_phone_hint: [
    "A login on the second iPhone then ends the session of the first.",
    "开启后，第二部 iPhone 登录会结束第一部的会话。",
  ],
  fault_desk: ["Fault desk", "故障台"],
  fault: ["Fault", "故障"],
  fault_exchange: ["Authing", "Authing"],
  fault_management: ["Authing's users", "Authing 的用户查询"],
  fault_answers: ["Our answers", "我们的响应"],
  fault_times: ["How often", "次数"],
  times_1: ["once", "一次"],
  times_3: ["three times", "三次"],
  times_all: ["until it is cleared", "直到清除"],
  fault_set: ["Set the fault", "设置故障"],
  fault_clear: ["Clear the fault", "清除故障"],
  fault_off: ["No fault is set.", "当前没有故障。"],
  fault_on: ["In force: {place}: {fault}.", "当前故障：{place}：{fault}。"],
  fault_slow: ["slow", "缓慢"],
  fault_delayed: ["answer delayed", "响应延迟"],
  fault_drop: ["request lost", "请求丢失"],
  fault_accept_then_drop: ["answer lost", "响应丢失"],
  fault_doubled: ["request performed twice", "请求被执行两次"],
  fault_truncated: ["answer cut short", "响应被截断"],
  fault_html: ["answers with a web page", "返回网页"],
  fault_redirect: ["redirect", "重定向"],
  fault_http_500: ["answers 500", "返回 500"],
  fault_http_503: ["answers 503", "返回 503"],
  fault_rate_limited: ["429 with Retry-After", "429 及 Retry-After"],
  fault_store_unavailable: ["503 with Retry-After", "503 及 Retry-After"],
  fault_bad_token: ["token with a wrong signature", "token 签名错误"],
  fault_clock_ahead: ["clock ahead", "时钟超前"],
  grade: ["Grade of your client", "客户端评分"],
  grade_total: ["{passed} of {total} scenarios passed", "{total} 个场景通过 {passed} 个"],
  grade_again: ["Read the report again", "重新读取报告"],
  traffic: ["Requests and answers", "请求与响应"],
  clear: ["Clear the list", "清空列表"],
  nothing_sent: [
    "Every request that a phone sends appears here, with its answer and a curl line.",
    "手机发出的每个请求都会显示在这里，附响应和可复制的 curl 命令。",
  ],
  request: ["Request", "请求"],
  answer: ["Answer", "响应"],
  command: ["The same in a shell", "等价的 curl 命令"],
  copy: ["Copy", "复制"],
  copied: ["Copied", "已复制"],
  selected: ["Selected: press Ctrl+C", "已选中，请按 Ctrl+C"],
  mini_program_name: ["Mini program", "小程序"],
  thief: ["Thief", "盗用者"],
  backend: ["Backend", "后端"],
  page: ["This page", "本页面"],
  no_answer: ["No answer: the connection was closed.", "没有响应：连接已断开。"],
  no_body: ["(no body)", "（无内容）"],
  note_lost: ["answer lost", "响应丢失"],
  note_same: ["same refresh token", "refresh token 相同"],
  note_replayed: ["replayed", "重放"],
  note_retry: ["sent again", "重发"],
  meaning_launch: ["The app asks how to open the mini program.", "App 询问如何打开小程序。"],
  meaning_consent: [
    "The mini program asks Authing for a ticket and hands ext_msg to the app.",
    "小程序向 Authing 取得 ticket，并把 ext_msg 交给 App。",
  ],
  meaning_login: [
    "The app posts ext_msg unparsed. The ticket becomes a session.",
    "App 原样提交 ext_msg，ticket 换成会话。",
  ],
  meaning_refresh: [
    "The refresh token is used up, and the answer has its one successor.",
    "refresh token 用掉一次，响应中是唯一的后继 token。",
  ],
  meaning_call: ["Any route of yours would check the token like this.", "您的接口也会这样检查 token。"],
  meaning_list: ["The sessions of this user, one for each phone.", "该用户的会话，每部手机一个。"],
  meaning_end_others: ["All other sessions of this user end.", "结束该用户的其他会话。"],
  meaning_log_out: ["The session ends. No token of it works again.", "会话结束，其 token 全部失效。"],
  meaning_theft: [
    "The thief sends the copied token. It was used already and the key is another, so it is theft.",
    "盗用者提交复制的 token。该 token 已被用过，且 Idempotency-Key 不同，因此判定为盗用。",
  ],
  meaning_history: ["Your support team asks why the session ended.", "客服查询会话结束的原因。"],
  meaning_fault: ["The page sets a fault of this sandbox.", "本页面设置沙箱的故障。"],
  meaning_service: ["The page changes a setting of this sandbox.", "本页面修改沙箱的设置。"],
  say_opening: ["WeChat opens the mini program.", "微信正在打开小程序。"],
  say_consent: ["Back in the app: it posts ext_msg.", "已返回 App，正在提交 ext_msg。"],
  say_login: ["Signed in: the ticket has become a session.", "登录成功：ticket 已换成会话。"],
  say_refresh: ["Both tokens are new.", "两个 token 都已更新。"],
  say_call: ["The access token is good.", "access token 有效。"],
  say_list: ["{count} active sessions.", "共有 {count} 个有效会话。"],
  say_end_others: ["All other sessions of this user have ended.", "该用户的其他会话已结束。"],
  say_log_out: ["Logged out.", "已退出登录。"],
  say_lost: ["The answer was lost. The app sends the same request again.", "响应丢失，App 重发同一请求。"],
  say_nothing_lost: [
    "Nothing is lost: the second answer has the same refresh token.",
    "什么都没丢：第二次响应的 refresh token 完全相同。",
  ],
  say_twice: [
    "Both answers have the same refresh token: one request had an effect.",
    "两个响应的 refresh token 相同：只有一个请求生效。",
  ],
  say_wait: [
    "{reason}. The app waits {seconds} s and sends the same request again.",
    "{reason}。App 等待 {seconds} 秒后重发同一请求。",
  ],
  say_failed: ["{title}. {detail}", "{title}。{detail}"],
  say_no_answer: ["No answer", "没有响应"],
  say_expired: ["The access token has expired. The app refreshes.", "access token 已过期，App 正在刷新。"],
  say_stolen: ["A thief has copied the refresh token.", "盗用者已复制 refresh token。"],
  say_owner: ["The phone refreshes as usual. The copy is old now.", "手机照常刷新，副本已过时。"],
  say_thief: ["The thief tries the copy.", "盗用者使用副本。"],
  say_caught: ["The theft ended the session. The thief got nothing.", "盗用使会话结束，盗用者一无所获。"],
  claim_typ: ["kind of token (RFC 9068)", "token 类型（RFC 9068）"],
  claim_alg: ["signature algorithm", "签名算法"],
  claim_kid: ["key in /.well-known/jwks.json", "公钥编号，见 /.well-known/jwks.json"],
  claim_iss: ["who issued it", "签发者"],
  claim_aud: ["who may accept it", "接收方"],
  claim_sub: ["the user", "用户"],
  claim_sid: ["the session", "会话"],
  claim_jti: ["this token", "token 编号"],
  claim_client_id: ["the user pool", "用户池"],
  claim_iat: ["issued", "签发时间"],
  claim_exp: ["expires", "过期时间"],
  claim_auth_time: ["signed in", "登录时间"],
};

export const languages = ["en", "zh-CN"];
let chosen = stored() ?? Number(/^zh\b/i.test(navigator.language));

function stored() {
  const language = languages.indexOf(localStorage.getItem("language"));
  return language < 0 ? undefined : language;
}

export const language = () => languages[chosen];

export function t(key, values = {}) {
  const text = words[key]?.[chosen] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** Show a text in an element, and again whenever the language changes. */
export function show(element, key, values = {}) {
  element.dataset.t = key;
  element.dataset.values = JSON.stringify(values);
  element.textContent = t(key, values);
}

/** Translate every marked element below `root`. */
export function translate(root) {
  for (const each of root.querySelectorAll("[data-t]")) {
    each.textContent = t(each.dataset.t, JSON.parse(each.dataset.values ?? "{}"));
  }
  for (const each of root.querySelectorAll("[data-t-label]")) {
    each.setAttribute(each.matches("optgroup") ? "label" : "aria-label", t(each.dataset.tLabel));
  }
}

export function switchLanguage() {
  chosen = 1 - chosen;
  localStorage.setItem("language", language());
}

// Puts the page together: the phones, the switches of the service, the fault desk and the grade.

import { add, Phone } from "./phone.js";
import { clearTraffic, exchange } from "./traffic.js";
import { language, show, switchLanguage, t, translate } from "./words.js";

const find = (id) => document.getElementById(id);
const phones = [];

async function read(path) {
  const response = await fetch(path, { headers: { "Accept-Language": language() } });
  return response.ok ? response.json() : null;
}

function showLanguage() {
  document.documentElement.lang = language();
  translate(document);
  const button = find("language");
  show(button, "other_language");
  button.lang = t("other_language") === "English" ? "en" : "zh-CN";
}

async function startPhones(service) {
  find("one-phone").checked = service.one_per_device_type;
  const desk = {
    personas: service.personas,
    serviceKey: service.service_key,
    onePhone: () => find("one-phone").checked,
    async others(acting) {
      // The other phones learn what happened at their next request.
      for (const phone of phones) if (phone !== acting && phone.tokens) await phone.act(() => phone.call());
    },
    changed() {
      const signedIn = phones.some((phone) => phone.tokens);
      if (signedIn || phones.length > 1) find("guide").hidden = true;
      show(find("next"), signedIn ? "next_trouble" : "next_sign_in");
      find("second").hidden = phones.length > 1 || !signedIn;
    },
  };
  const addPhone = () => {
    phones.push(new Phone(phones.length + 1, desk));
    find("guide").before(phones.at(-1).element);
    desk.changed();
  };
  addPhone();
  if (sessionStorage.getItem("sandbox-2")) addPhone();
  find("second").addEventListener("click", () => {
    addPhone();
    phones[1].element.querySelector(".primary").focus();
  });
}

function startTools() {
  find("language").addEventListener("click", () => {
    switchLanguage();
    showLanguage();
  });
  find("clear").addEventListener("click", clearTraffic);
  find("one-phone").addEventListener("change", ({ target }) => {
    const body = { one_per_device_type: target.checked };
    exchange({ who: "page", meaning: "meaning_service", method: "PATCH", path: "/sandbox/api/service", body });
  });
}

async function startFaultDesk() {
  const form = find("faults");
  showFault(await read("/sandbox/fault"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const [of, kind] = form.fault.value.split(" ");
    setFault("PUT", { of, kind, times: Number(form.times.value) || null, seconds: 2 });
  });
  // A fault ends when it has happened often enough.
  document.addEventListener("answered", async () => {
    if (find("fault-state").dataset.t === "fault_on") showFault(await read("/sandbox/fault"));
  });
  form.addEventListener("reset", () => setFault("DELETE"));
}

async function setFault(method, body) {
  const asked = { who: "page", meaning: "meaning_fault", method, path: "/sandbox/fault", body };
  showFault((await exchange(asked)).body);
}

function showFault({ of, kind }) {
  if (kind === "none") show(find("fault-state"), "fault_off");
  else show(find("fault-state"), "fault_on", { place: t(`fault_${of}`), fault: t(`fault_${kind}`) });
}

async function startGrade() {
  find("grade").querySelector("button").addEventListener("click", showGrade);
  await showGrade();
}

async function showGrade() {
  const report = await read("/sandbox/api/grade");
  find("grade").hidden = false;
  const [passed, total] = report.grade.split(" of ");
  show(find("grade-total"), "grade_total", { passed, total });
  find("grade-results").replaceChildren();
  for (const { name, findings } of report.scenarios) {
    const texts = Object.values(findings);
    const item = add(find("grade-results"), "li");
    add(item, "span").className = `chip ${texts.length ? "bad" : "good"}`;
    item.firstChild.textContent = name;
    for (const text of texts) add(item, "p").textContent = text;
  }
}

showLanguage();
startTools();
const service = await read("/sandbox/api/service");
await startPhones(service);
await startFaultDesk();
if (service.graded) await startGrade();

/// The WeChat SDK's side of a login. Add this file to your app; the package does not contain it, because the SDK
/// (WechatOpenSDK 2.0 or newer) comes from CocoaPods or from Tencent's site.
///
/// Before the first launch:
/// - `WXApi.registerApp("wx…", universalLink: "https://…/")` with the AppID of your *mobile app*, at each start.
/// - Info.plist: the AppID as a URL scheme, and `weixin`, `weixinULAPI`, `weixinURLParamsAPI` in
///   `LSApplicationQueriesSchemes`.
/// - Associated Domains with the domain of the universal link.
/// - At open.weixin.qq.com: the mini program is associated with the mobile app.
///
/// The scene (or application) delegate hands over what WeChat opens the app with:
///
///     func scene(_ scene: UIScene, continue userActivity: NSUserActivity) {
///         WXApi.handleOpenUniversalLink(userActivity, delegate: weChatLogin)
///     }
///     // A cold start has them in the options of scene(_:willConnectTo:options:).
///     func scene(_ scene: UIScene, openURLContexts contexts: Set<UIOpenURLContext>) {
///         if let url = contexts.first?.url { WXApi.handleOpen(url, delegate: weChatLogin) }
///     }
import Foundation
import Ticketgate
import WechatOpenSDK

final class WeChatLogin: NSObject, WXApiDelegate {
    private let client: TicketgateClient
    private let finished: (Result<User?, Error>) -> Void

    /// `finished` gets the user, on the main thread; nil if WeChat came back without a ticket.
    init(client: TicketgateClient, finished: @escaping (Result<User?, Error>) -> Void) {
        (self.client, self.finished) = (client, finished)
    }

    /// Opens the mini program. Returns false if WeChat cannot be opened.
    @MainActor func launch() async throws -> Bool {
        let launch = try await client.launchRequest()
        let request = WXLaunchMiniProgramReq()
        request.userName = launch.userName
        request.path = launch.path
        request.miniProgramType = WXMiniProgramType(rawValue: launch.miniProgramType) ?? .release
        return await WXApi.send(request)
    }

    func onReq(_ request: BaseReq) {}

    func onResp(_ response: BaseResp) {
        guard let response = response as? WXLaunchMiniProgramResp else { return }
        // errCode 0 says only that WeChat came back. What happened is in extMsg, which the service reads.
        guard let extMsg = response.extMsg, !extMsg.isEmpty else { return finished(.success(nil)) }
        Task { @MainActor in
            do { finished(.success(try await client.signIn(extMsg: extMsg))) } catch { finished(.failure(error)) }
        }
    }
}

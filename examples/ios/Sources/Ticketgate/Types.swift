import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

/// Sends a request once. Throws when no whole response has arrived.
public typealias Transport = @Sendable (URLRequest) async throws -> (Data, HTTPURLResponse)

/// One text that survives the end of the app, where no backup and no other app can read it.
public protocol SecureStore: Sendable {
    /// nil: nothing was stored. Throws when the store cannot be read now.
    func read() throws -> Data?
    func write(_ data: Data) throws
    /// Waits until no other process of this app has the lock.
    func lock() async throws
    func unlock()
}

/// A P-256 key that cannot leave the phone.
public protocol DeviceKey: Sendable {
    /// x and y, 32 bytes each.
    var publicKey: Data { get }
    /// The 64 bytes of ES256.
    func sign(_ data: Data) throws -> Data
}

public struct Device: Codable, Sendable {
    public var id, type: String
    public var name, appVersion: String?
    public init(id: String, type: String = "ios", name: String? = nil, appVersion: String? = nil) {
        (self.id, self.type, self.name, self.appVersion) = (id, type, name, appVersion)
    }
}

public struct User: Codable, Sendable {
    public let sub: String
    public let nickname, picture, phoneNumber: String?
}

public struct LaunchRequest: Decodable, Sendable {
    public let userName, path: String
    public let miniProgramType: UInt
}

/// An error of the service, or no response (status 0). `action` says what the app does now.
public struct TicketgateError: Error, Sendable {
    public let status: Int
    public let code, action: String
    public let detail: String?
    public let reason: String?  // why the session is over
    public let isEnd: Bool  // the service says that it is over
    public let retryAfter: Double

    /// The same request may succeed later.
    public var isTemporary: Bool { action == "retry" || action == "retry_after" }

    static let signedOut = TicketgateError(0, ["code": "signed_out", "client_action": "relaunch_wechat"])
    private static let actions = ["retry", "retry_after", "refresh", "relaunch_wechat", "contact_support", "none"]

    init(_ response: (Data, HTTPURLResponse)?) {
        let parsed = response.flatMap { try? JSONSerialization.jsonObject(with: $0.0) }
        let retryAfter = response?.1.value(forHTTPHeaderField: "Retry-After").flatMap { Double($0) }
        self.init(response?.1.statusCode ?? 0, parsed as? [String: Any] ?? [:], retryAfter ?? 0)
    }

    private init(_ status: Int, _ problem: [String: Any], _ retryAfter: Double = 0) {
        let action = problem["client_action"] as? String ?? ""
        self.status = status
        self.code = problem["code"] as? String ?? "unknown"
        self.action = Self.actions.contains(action) ? action : status == 401 ? "refresh" : "retry"
        self.detail = problem["detail"] as? String
        self.reason = problem["reason"] as? String
        self.isEnd = problem["session_alive"] as? Bool == false
        self.retryAfter = (problem["retry_after"] as? NSNumber)?.doubleValue ?? retryAfter
    }
}

func snakeCaseDecoder() -> JSONDecoder {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return decoder
}

func snakeCaseEncoder() -> JSONEncoder {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    return encoder
}

// Lets the reference client for Swift be graded: does what the sandbox says, with the client's own code.
// grade ADDRESS
import Foundation
import Ticketgate
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif
#if canImport(CryptoKit)
import CryptoKit

struct SoftwareKey: DeviceKey {
    private let key = P256.Signing.PrivateKey()
    var publicKey: Data { key.publicKey.rawRepresentation }
    func sign(_ data: Data) throws -> Data { try key.signature(for: data).rawRepresentation }
}
#endif

struct Killed: Error {}

/// URLSession of Linux has no async methods in all versions.
func fetched(_ request: URLRequest, _ session: URLSession) async throws -> (Data, HTTPURLResponse) {
    try await withCheckedThrowingContinuation { continuation in
        session.dataTask(with: request) { data, response, error in
            if let data, let response = response as? HTTPURLResponse {
                continuation.resume(returning: (data, response))
            } else {
                continuation.resume(throwing: error ?? URLError(.badServerResponse))
            }
        }.resume()
    }
}

final class MemoryStore: SecureStore, @unchecked Sendable {
    private let mutex = NSLock()
    private var data: Data?

    func read() -> Data? {
        mutex.lock()
        defer { mutex.unlock() }
        return data
    }
    func write(_ new: Data) {
        mutex.lock()
        defer { mutex.unlock() }
        data = new
    }
    func lock() {}
    func unlock() {}
}

/// One process of the app. After `kill` it neither gets a response nor stores anything.
final class AppProcess: SecureStore, @unchecked Sendable {
    private let store: MemoryStore
    private var isAlive = true
    private(set) var client: TicketgateClient!

    init(_ address: String, _ store: MemoryStore, _ key: DeviceKey?) {
        self.store = store
        let configuration = URLSessionConfiguration.ephemeral
        configuration.timeoutIntervalForResource = 2  // quicker than on a phone
        let session = URLSession(configuration: configuration)
        let transport: Transport = { [unowned self] request in
            let response = try? await fetched(request, session)
            if !isAlive { try await Task.sleep(for: .seconds(3600)) }
            guard let response else { throw URLError(.networkConnectionLost) }
            return response
        }
        client = TicketgateClient(
            baseURL: address, device: Device(id: "ios"), transport: transport, store: self, deviceKey: key)
    }

    func read() -> Data? { store.read() }
    func write(_ data: Data) throws {
        guard isAlive else { throw Killed() }
        store.write(data)
    }
    func lock() {}
    func unlock() {}
    func kill() { isAlive = false }
    func refresh() async throws { _ = try await client.refresh(client.accessToken()) }
}

let address = CommandLine.arguments[1]
var store = MemoryStore()
var key: DeviceKey?
var process = AppProcess(address, store, nil)
var killed: AppProcess?

@MainActor func carryOut(_ instruction: [String: Any]) async throws {
    switch instruction["do"] as? String {
    case "install":
        store = MemoryStore()
        #if canImport(CryptoKit)
        key = SoftwareKey()
        #endif
        process = AppProcess(address, store, key)
    case "restart_app":
        process = AppProcess(address, store, key)
        try await process.client.resume()
    case "sign_in":
        _ = try await process.client.signIn(extMsg: instruction["ext_msg"] as? String ?? "")
    case "call_api":
        let client = process.client!
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<(instruction["at_once"] as? Int ?? 1) {
                group.addTask { _ = try await client.call("GET", "/v1/me") }
            }
            try await group.waitForAll()
        }
    case "refresh":
        guard let seconds = instruction["kill_after"] as? Double else { return try await process.refresh() }
        killed = process  // stays in memory
        Task { [process] in try await process.refresh() }
        try await Task.sleep(for: .seconds(seconds))
        process.kill()
    case "log_out":
        try await process.client.logOut()
    default:
        break
    }
}

while true {
    var request = URLRequest(url: URL(string: "\(address)/sandbox/api/grade/next")!)
    request.httpMethod = "POST"
    let (data, _) = try await fetched(request, URLSession.shared)
    let instruction = try JSONSerialization.jsonObject(with: data) as! [String: Any]
    if instruction["do"] as? String == "stop" {
        print(String(decoding: data, as: UTF8.self))
        break
    }
    do { try await carryOut(instruction) } catch is TicketgateError {}  // an error of the client is for its app
}

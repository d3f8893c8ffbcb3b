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

final class MemoryStore: SecureStore, @unchecked Sendable {
    private let mutex = NSLock()
    private var data: Data?

    func read() -> Data? { mutex.withLock { data } }
    func write(_ new: Data) { mutex.withLock { data = new } }
    func lock() {}
    func unlock() {}
}

/// One process of the app. After `kill` it stores nothing.
final class Process: SecureStore, @unchecked Sendable {
    private let store: MemoryStore
    private var isAlive = true
    private(set) var client: TicketgateClient!

    init(_ address: String, _ store: MemoryStore, _ key: DeviceKey?) {
        self.store = store
        let configuration = URLSessionConfiguration.ephemeral
        configuration.timeoutIntervalForResource = 2  // quicker than on a phone
        let session = URLSession(configuration: configuration)
        let transport: Transport = { request in
            let (data, response) = try await session.data(for: request)
            return (data, response as! HTTPURLResponse)
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
var process = Process(address, store, nil)

func carryOut(_ instruction: [String: Any]) async throws {
    switch instruction["do"] as? String {
    case "install":
        store = MemoryStore()
        #if canImport(CryptoKit)
        key = SoftwareKey()
        #endif
        process = Process(address, store, key)
    case "restart_app":
        process = Process(address, store, key)
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
        let killed = process
        Task { try await killed.refresh() }
        try await Task.sleep(for: .seconds(seconds))
        killed.kill()
    case "log_out":
        try await process.client.logOut()
    default:
        break
    }
}

while true {
    var request = URLRequest(url: URL(string: "\(address)/sandbox/api/grade/next")!)
    request.httpMethod = "POST"
    let (data, _) = try await URLSession.shared.data(for: request)
    let instruction = try JSONSerialization.jsonObject(with: data) as! [String: Any]
    if instruction["do"] as? String == "stop" {
        print(String(decoding: data, as: UTF8.self))
        break
    }
    do { try await carryOut(instruction) } catch is TicketgateError {}  // an error of the client is for its app
}

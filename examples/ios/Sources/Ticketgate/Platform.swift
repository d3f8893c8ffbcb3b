/// What the client needs of iOS: URLSession, the Keychain, the Secure Enclave.
#if canImport(Security)
import CryptoKit
import Foundation
import Security

/// No cookies, no cache, no redirects, and at most 10 seconds for a whole request.
public func urlSessionTransport() -> Transport {
    let configuration = URLSessionConfiguration.ephemeral
    configuration.timeoutIntervalForResource = 10
    configuration.httpShouldSetCookies = false
    let session = URLSession(configuration: configuration, delegate: NoRedirects(), delegateQueue: nil)
    return { request in
        let (data, response) = try await session.data(for: request)
        guard let response = response as? HTTPURLResponse else { throw URLError(.badServerResponse) }
        return (data, response)
    }
}

private final class NoRedirects: NSObject, URLSessionTaskDelegate, Sendable {
    func urlSession(
        _ session: URLSession, task: URLSessionTask, willPerformHTTPRedirection response: HTTPURLResponse,
        newRequest request: URLRequest
    ) async -> URLRequest? { nil }
}

/// One item of the Keychain, readable in the background, on this phone only. Extensions share it through
/// `accessGroup`, and `lockFile` in the container of their App Group.
public final class KeychainStore: SecureStore, @unchecked Sendable {
    private let query: [CFString: Any], lockFile: URL
    private var descriptor: Int32 = -1  // of the work that has the lock

    public init(account: String = "session", accessGroup: String? = nil, lockFile: URL) {
        var query: [CFString: Any] = [
            kSecClass: kSecClassGenericPassword, kSecAttrService: "ticketgate", kSecAttrAccount: account,
        ]
        query[kSecAttrAccessGroup] = accessGroup
        (self.query, self.lockFile) = (query, lockFile)
    }

    public func read() throws -> Data? {
        var item: CFTypeRef?
        let status = SecItemCopyMatching(query.merging([kSecReturnData: true]) { $1 } as CFDictionary, &item)
        if status != errSecItemNotFound { try check(status) }  // locked is not empty
        return item as? Data
    }

    public func write(_ data: Data) throws {
        let values: [CFString: Any] = [
            kSecValueData: data, kSecAttrAccessible: kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly,
        ]
        let status = SecItemUpdate(query as CFDictionary, values as CFDictionary)
        if status != errSecItemNotFound { return try check(status) }
        try check(SecItemAdd(query.merging(values) { $1 } as CFDictionary, nil))
    }

    public func lock() async throws {
        let opened = open(lockFile.path, O_CREAT | O_RDWR, 0o600)
        guard opened >= 0 else { throw CocoaError(.fileWriteUnknown) }
        while flock(opened, LOCK_EX | LOCK_NB) != 0 { try await Task.sleep(for: .milliseconds(20)) }
        descriptor = opened
    }

    public func unlock() { close(descriptor) }

    private func check(_ status: OSStatus) throws {
        if status != errSecSuccess { throw NSError(domain: NSOSStatusErrorDomain, code: Int(status)) }
    }
}

/// A key of the Secure Enclave. The store holds its blob, which only this Secure Enclave can use.
public struct SecureEnclaveKey: DeviceKey {
    private let key: SecureEnclave.P256.Signing.PrivateKey

    /// nil: this device has no Secure Enclave, and sessions are not bound to it.
    public init?(store: KeychainStore) throws {
        guard SecureEnclave.isAvailable else { return nil }
        if let blob = try store.read() {
            key = try SecureEnclave.P256.Signing.PrivateKey(dataRepresentation: blob)
            return
        }
        let access = SecAccessControlCreateWithFlags(
            nil, kSecAttrAccessibleAfterFirstUnlockThisDeviceOnly, .privateKeyUsage, nil)
        key = try SecureEnclave.P256.Signing.PrivateKey(accessControl: access!)
        try store.write(key.dataRepresentation)
    }

    public var publicKey: Data { key.publicKey.rawRepresentation }

    public func sign(_ data: Data) throws -> Data { try key.signature(for: data).rawRepresentation }
}
#endif

/// The app's side of Ticketgate, without dependencies. docs/mobile.md has the reason of each rule.
import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

public actor TicketgateClient {
    private struct Login: Codable { let extMsg, key: String }
    private struct Body: Encodable { var extMsg, refreshToken: String?; var device: Device? }
    private struct Tokens: Codable {
        let accessToken, refreshToken: String
        let refreshAfter: Double
        let user: User
    }
    /// What is stored, in one step. `key` is for the next refresh; `ended` are tokens of a log-out to report.
    private struct State: Codable {
        var login: Login?
        var tokens: Tokens?
        var key: String?
        var ended: Tokens?
    }
    private static let attempts = 3
    private let decoder = snakeCaseDecoder(), encoder = snakeCaseEncoder()

    private let baseURL: String, device: Device, transport: Transport, store: SecureStore, deviceKey: DeviceKey?
    private var nonce: String?
    private var refreshAt: ContinuousClock.Instant?  // after a restart, a 401 says that it is time
    private var refreshing: Task<String, Error>?
    private var last: Task<Void, Never>?

    /// `baseURL` is SESSION_ISSUER of the service, without a slash at the end.
    public init(
        baseURL: String, device: Device, transport: @escaping Transport, store: SecureStore, deviceKey: DeviceKey?
    ) {
        (self.baseURL, self.device, self.transport) = (baseURL, device, transport)
        (self.store, self.deviceKey) = (store, deviceKey)
    }

    /// What the WeChat SDK gets, unchanged.
    public func launchRequest(platform: String = "ios") async throws -> LaunchRequest {
        try await attempt(makeRequest("GET", "/v1/launch?platform=\(platform)")) {
            try decoder.decode(LaunchRequest.self, from: $0.0)
        }
    }

    public func isSignedIn() throws -> Bool { try read().tokens != nil }

    /// Signs in with the `extMsg` that WeChat returned, and gives the user.
    public func signIn(extMsg: String) async throws -> User {
        let login = Login(extMsg: extMsg, key: UUID().uuidString)
        try await exclusively { state in
            state.login = login
            try self.write(state)
        }
        guard let user = try await resume() else { throw TicketgateError.signedOut }
        return user
    }

    /// Finishes a login or a log-out that was interrupted. Call it at each start and for "try again".
    @discardableResult
    public func resume() async throws -> User? {
        try await exclusively { try await self.reportLogOut(&$0) }
        return try await exclusively { state in
            guard let login = state.login else { return nil }
            do {
                let body = Body(extMsg: login.extMsg, device: self.device)
                return try await self.tokens("/v1/sessions", body, login.key, state.ended).user
            } catch let error as TicketgateError where !error.isTemporary {
                state.login = nil
                try self.write(state)
                throw error
            }
        }
    }

    /// The access token, after a refresh if it is time for one.
    public func accessToken() async throws -> String {
        guard let tokens = try read().tokens else { throw TicketgateError.signedOut }
        guard let refreshAt, ContinuousClock.now >= refreshAt else { return tokens.accessToken }
        do {
            return try await refresh(tokens.accessToken)
        } catch let error as TicketgateError where error.isTemporary {
            self.refreshAt = ContinuousClock.now + .seconds(60)
            return tokens.accessToken  // is good for some minutes yet
        }
    }

    /// An access token other than `rejected`. All callers share one refresh.
    public func refresh(_ rejected: String) async throws -> String {
        if let refreshing { return try await refreshing.value }
        let task = Task { try await exclusively { try await self.refresh(rejected, &$0) } }
        refreshing = task
        defer { refreshing = nil }
        return try await task.value
    }

    /// Sends a request with the access token: to a path of the service, or to a URL of your own API.
    public func call(_ method: String, _ target: String, body: Data? = nil) async throws -> (Data, HTTPURLResponse) {
        let token = try await accessToken()
        do {
            return try await authorized(method, target, body, token)
        } catch let error as TicketgateError where error.action == "refresh" {
            return try await authorized(method, target, body, try await refresh(token))
        } catch let error as TicketgateError where error.isEnd && target.hasPrefix("/") {
            try await exclusively { try self.end(token, &$0) }
            throw error
        }
    }

    /// Signs out: here at once, at the service as soon as it can be reached.
    public func logOut() async throws {
        try await exclusively { try self.write(State(ended: $0.tokens ?? $0.ended)) }
        try await resume()
    }

    private func refresh(_ rejected: String, _ state: inout State) async throws -> String {
        guard let tokens = state.tokens, let key = state.key else { throw TicketgateError.signedOut }
        if tokens.accessToken != rejected { return tokens.accessToken }  // another process did it
        do {
            let body = Body(refreshToken: tokens.refreshToken)
            return try await self.tokens("/v1/sessions/refresh", body, key, state.ended).accessToken
        } catch let error as TicketgateError where error.isEnd {
            try end(rejected, &state)
            throw error
        }
    }

    /// Gets tokens. Stores them with the key of their refresh before anything uses them.
    private func tokens(_ path: String, _ body: Body, _ key: String, _ ended: Tokens?) async throws -> Tokens {
        var request = makeRequest("POST", path, try encoder.encode(body))
        request.setValue(key, forHTTPHeaderField: "Idempotency-Key")
        let tokens = try await attempt(request, deviceKey) { try decoder.decode(Tokens.self, from: $0.0) }
        try write(State(tokens: tokens, key: UUID().uuidString, ended: ended))
        refreshAt = ContinuousClock.now + .seconds(tokens.refreshAfter)
        return tokens
    }

    private func authorized(
        _ method: String, _ target: String, _ body: Data?, _ token: String
    ) async throws -> (Data, HTTPURLResponse) {
        let attempts = ["POST", "PATCH"].contains(method) ? 1 : Self.attempts
        return try await attempt(authorizedRequest(method, target, body, token), attempts: attempts) { $0 }
    }

    private func authorizedRequest(_ method: String, _ target: String, _ body: Data?, _ token: String) -> URLRequest {
        var request = makeRequest(method, target, body)
        request.setValue("Bearer \(token)", forHTTPHeaderField: "Authorization")
        return request
    }

    /// Ends a session at the service; by its refresh token if its access token has expired.
    private func reportLogOut(_ state: inout State) async throws {
        guard let ended = state.ended else { return }
        var error = await failure(authorizedRequest("DELETE", "/v1/sessions/current", nil, ended.accessToken))
        if error?.action == "refresh" {
            var request = makeRequest("POST", "/oauth2/revoke", Data("token=\(ended.refreshToken)".utf8))
            request.setValue("application/x-www-form-urlencoded", forHTTPHeaderField: "Content-Type")
            error = await failure(request)
        }
        if error?.isTemporary == true { return }
        state.ended = nil
        try write(state)
    }

    private func failure(_ request: URLRequest) async -> TicketgateError? {
        do { try await attempt(request) { _ in } } catch { return error as? TicketgateError ?? TicketgateError(nil) }
        return nil
    }

    private func end(_ token: String, _ state: inout State) throws {
        guard state.tokens?.accessToken == token else { return }
        state.tokens = nil
        try write(state)
    }

    /// Repeats the request, with a new proof each time. An error of `read` is a lost response.
    private func attempt<T>(
        _ request: URLRequest, _ deviceKey: DeviceKey? = nil, attempts: Int = TicketgateClient.attempts,
        read: ((Data, HTTPURLResponse)) throws -> T
    ) async throws -> T {
        var request = request, attempt = 1, proofs = 1
        while true {
            if let deviceKey { request.setValue(try proof(deviceKey, request), forHTTPHeaderField: "DPoP") }
            let response = try? await transport(request)
            nonce = response?.1.value(forHTTPHeaderField: "DPoP-Nonce") ?? nonce
            if let response, 200..<300 ~= response.1.statusCode, let result = try? read(response) { return result }
            let error = TicketgateError(response)
            if error.code == "proof_invalid", proofs < Self.attempts { proofs += 1; continue }  // with the new nonce
            guard error.isTemporary, attempt < attempts else { throw error }
            try await Task.sleep(for: .seconds(Self.pause(error, attempt)))
            attempt += 1
        }
    }

    /// 1, 2, 4 s, each ± 50 %; or what the service asks for and up to 50 % more.
    private static func pause(_ error: TicketgateError, _ attempt: Int) -> Double {
        error.retryAfter > 0
            ? error.retryAfter * .random(in: 1...1.5) : Double(1 << (attempt - 1)) * .random(in: 0.5...1.5)
    }

    /// RFC 9449 section 4.2. The service looks at the nonce, so the clock of the phone may be wrong.
    private func proof(_ key: DeviceKey, _ request: URLRequest) throws -> String {
        let (x, y) = (base64url(key.publicKey.prefix(32)), base64url(key.publicKey.suffix(32)))
        let jwk = ["kty": "EC", "crv": "P-256", "x": x, "y": y]
        let header: [String: Any] = ["typ": "dpop+jwt", "alg": "ES256", "jwk": jwk]
        let claims: [String: Any] = [
            "jti": UUID().uuidString, "iat": Int(Date().timeIntervalSince1970), "nonce": nonce ?? "",
            "htm": request.httpMethod!, "htu": request.url!.absoluteString,
        ]
        let signed = try [header, claims]
            .map { base64url(try JSONSerialization.data(withJSONObject: $0)) }.joined(separator: ".")
        return "\(signed).\(base64url(try key.sign(Data(signed.utf8))))"
    }

    /// Runs `work` alone: after the earlier work of this client, while no other process has the lock.
    private func exclusively<T: Sendable>(_ work: @escaping (inout State) async throws -> T) async throws -> T {
        let task = Task<T, Error> { [last] in
            await last?.value
            try await store.lock()
            defer { store.unlock() }
            var state = try read()
            return try await work(&state)
        }
        last = Task { _ = await task.result }
        return try await task.value
    }

    private func makeRequest(_ method: String, _ target: String, _ body: Data? = nil) -> URLRequest {
        var request = URLRequest(url: URL(string: target.hasPrefix("/") ? baseURL + target : target)!)
        (request.httpMethod, request.httpBody, request.timeoutInterval) = (method, body, 10)
        request.setValue("application/json", forHTTPHeaderField: "Content-Type")
        return request
    }

    private func read() throws -> State {
        guard let data = try store.read() else { return State() }
        return (try? decoder.decode(State.self, from: data)) ?? State()
    }

    private func write(_ state: State) throws { try store.write(encoder.encode(state)) }
}

private func base64url(_ data: Data) -> String {
    data.base64EncodedString().replacingOccurrences(of: "+", with: "-")
        .replacingOccurrences(of: "/", with: "_").replacingOccurrences(of: "=", with: "")
}

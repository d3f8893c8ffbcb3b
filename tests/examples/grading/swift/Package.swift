// swift-tools-version:5.9
import PackageDescription

let package = Package(
    name: "grade",
    platforms: [.macOS(.v13)],
    dependencies: [.package(path: "../ios")],
    targets: [.executableTarget(name: "grade", dependencies: [.product(name: "Ticketgate", package: "ios")])]
)

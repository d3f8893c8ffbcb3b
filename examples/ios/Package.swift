// swift-tools-version:5.9
import PackageDescription

let package = Package(
    name: "Ticketgate",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [.library(name: "Ticketgate", targets: ["Ticketgate"])],
    targets: [.target(name: "Ticketgate")]
)

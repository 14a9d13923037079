import Files
import Foundation

/// The targets in Package.swift, as far as tests need them.
struct Manifest {
  struct Target {
    enum Kind: String {
      case target, executableTarget, testTarget, systemLibrary
    }

    let name: String
    let kind: Kind
    let dependencies: [String]
    /// Relative to the repository.
    let folder: String

    var isTest: Bool { folder.hasPrefix("Tests/") }

    /// The modules that the sources import.
    func imports() throws -> Set<String> {
      let paths =
        FileManager.default.enumerator(atPath: "\(repository)/\(folder)")?.allObjects ?? []
      return try paths.compactMap { $0 as? String }.filter { $0.hasSuffix(".swift") }
        .reduce(into: []) { modules, path in
          let bytes = try RegularFile(path: "\(repository)/\(folder)/\(path)").readAll()
          modules.formUnion(Manifest.imports(of: String(decoding: bytes, as: UTF8.self)))
        }
    }
  }

  /// In the order of the file.
  let targets: [Target]

  init() throws {
    let bytes = try RegularFile(path: "\(repository)/Package.swift").readAll()
    self.init(text: String(decoding: bytes, as: UTF8.self))
  }

  init(text: String) {
    let starts = text.matches(
      of: /\.(target|executableTarget|testTarget|systemLibrary)\(\s*name:\s*"(\w+)"/)
    let ends = starts.dropFirst().map(\.range.lowerBound) + [text.endIndex]
    targets = zip(starts, ends).compactMap { start, end in
      guard let kind = Target.Kind(rawValue: String(start.1)) else { return nil }
      let body = text[start.range.upperBound..<end]
      let name = String(start.2)
      let list = body.firstMatch(of: /dependencies:\s*\[([^\]]*)\]/)?.1 ?? ""
      return Target(
        name: name, kind: kind,
        dependencies: list.matches(of: /"(\w+)"/).map { String($0.1) },
        folder: body.firstMatch(of: /path:\s*"([^"]+)"/).map { String($0.1) }
          ?? (kind == .testTarget ? "Tests/\(name)" : "Sources/\(name)"))
    }
  }

  /// The modules that a source file imports.
  static func imports(of source: String) -> Set<String> {
    let line =
      /\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:\w+\s+)?import\s+(?:(?:struct|class|enum|protocol|typealias|func|var|let)\s+)?(\w+)/
    return Set(
      source.split(separator: "\n").compactMap { $0.prefixMatch(of: line).map { String($0.1) } })
  }
}

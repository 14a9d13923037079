import Files
import Foundation

/// Machine code of kernels in files of a folder, all of it made by one compiler for one kind of device.
///
/// Whoever finds a program here runs what an earlier process ran, though the compiler may be another by now.
/// A file is written as a whole, and begins with what it is and a digest: one that is damaged or something else
/// counts as none. Several processes may use a folder: the same compiler makes the same code.
public struct KeptCode: Sendable {
  /// What made the code, as records name it; see ``DeviceBackend/identity``.
  let identity: String
  private let folder: String
  private let isReadOnly: Bool

  /// - Parameters:
  ///   - folder: of this identity alone; made when there is something to keep
  ///   - isReadOnly: whether nothing is kept, as another process does
  public init(of identity: String, in folder: String, isReadOnly: Bool = false) {
    self.identity = identity
    self.folder = folder
    self.isReadOnly = isReadOnly
  }

  /// Changes when files are written in another way.
  private static let magic = "spo kernels 1"

  /// More than any compiler makes of a source.
  private static let largestFile = 64 << 20

  /// Whether any program is kept.
  var isThere: Bool {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return names.contains { code(named: $0) != nil }
  }

  /// Nil where there is none.
  func read(_ source: KernelSource, _ definitions: [String]) -> [UInt8]? {
    code(named: name(source, definitions))
  }

  /// Keeps a program; where it cannot be written, another compiler is refused later, and nothing is wrong.
  package func keep(_ code: [UInt8], of source: KernelSource, _ definitions: [String]) {
    guard !isReadOnly else { return }
    let name = name(source, definitions)
    try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try? AtomicFile.replace("\(folder)/\(name)", with: header(of: code[...], named: name) + code)
  }

  /// A program is known by the text that it was compiled from, and what that was compiled by and for.
  private func name(_ source: KernelSource, _ definitions: [String]) -> String {
    let parts = [identity, source.text] + definitions
    return SHA256.hexDigest(of: Array(parts.joined(separator: "\0").utf8))
  }

  /// Three lines: what the file is, what made the code, and a digest of the file's name and the code.
  private func header(of code: ArraySlice<UInt8>, named name: String) -> [UInt8] {
    let digest = SHA256.hexDigest(of: Array(name.utf8) + code)
    return Array("\(Self.magic)\n\(identity)\n\(digest)\n".utf8)
  }

  private func code(named name: String) -> [UInt8]? {
    let count = header(of: [], named: name).count
    guard let file = try? RegularFile(path: "\(folder)/\(name)"), file.size > count,
      file.size <= Self.largestFile, let bytes = try? file.readAll()
    else { return nil }
    let code = bytes[count...]
    return bytes[..<count].elementsEqual(header(of: code, named: name)) ? Array(code) : nil
  }
}

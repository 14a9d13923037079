import Foundation

/// One kind of file, and what reads it.
struct FuzzTarget: Sendable {
  let name: String
  /// Does what is done once, and returns what is done with every input.
  let prepare: @Sendable () throws -> (_ input: UnsafeRawBufferPointer) throws -> Void

  init(_ name: String, _ run: @escaping @Sendable (_ input: UnsafeRawBufferPointer) throws -> Void)
  {
    self.name = name
    prepare = { run }
  }

  init(
    _ name: String,
    preparing prepare:
      @escaping @Sendable () throws -> (_ input: UnsafeRawBufferPointer) throws -> Void
  ) {
    self.name = name
    self.prepare = prepare
  }
}

/// The target at work: libFuzzer's callback is a C function, which captures nothing.
final class Current {
  nonisolated(unsafe) static var shared: Current?
  private let body: (UnsafeRawBufferPointer) throws -> Void

  init(_ body: @escaping (UnsafeRawBufferPointer) throws -> Void) { self.body = body }

  /// An error is as good as a result; that it can be told belongs to what is tested.
  func run(_ input: UnsafeRawBufferPointer) {
    do { try body(input) } catch { _ = "\(error)" }
  }
}

/// A finding that is no trap: a reader that contradicts itself.
func require(_ condition: Bool, _ what: @autoclosure () -> String) {
  guard !condition else { return }
  FileHandle.standardError.write(Data("FINDING: \(what())\n".utf8))
  abort()
}

/// Files for readers that take paths, in memory where there is such a file system.
enum Scratch {
  static let folder: String = {
    let memory = "/dev/shm"
    let parent = access(memory, W_OK) == 0 ? memory : NSTemporaryDirectory()
    return "\(parent)/spo-fuzz-\(getpid())"
  }()

  /// The repository's root: the fuzzer is started there.
  static let repository = FileManager.default.currentDirectoryPath

  static func make() throws {
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  }

  static func remove() { try? FileManager.default.removeItem(atPath: folder) }

  /// Copies a folder of the repository; returns its new path.
  static func copy(_ path: String, to name: String) throws -> String {
    try FileManager.default.copyItem(
      atPath: "\(repository)/\(path)", toPath: "\(folder)/\(name)")
    return "\(folder)/\(name)"
  }

  /// Makes `bytes` the content of a file; returns its path.
  static func write(_ bytes: UnsafeRawBufferPointer, to name: String = "input") -> String {
    let path = name.hasPrefix("/") ? name : "\(folder)/\(name)"
    let descriptor = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0o600)
    if !bytes.isEmpty { _ = Glibc.write(descriptor, bytes.baseAddress, bytes.count) }
    close(descriptor)
    return path
  }

  static func write(_ bytes: [UInt8], to name: String = "input") -> String {
    bytes.withUnsafeBytes { write($0, to: name) }
  }
}

extension UnsafeRawBufferPointer {
  /// The first byte, for a choice among `count`, and the rest.
  func choice(of count: Int) -> (index: Int, rest: UnsafeRawBufferPointer)? {
    guard let first else { return nil }
    return (Int(first) % count, UnsafeRawBufferPointer(rebasing: dropFirst()))
  }
}

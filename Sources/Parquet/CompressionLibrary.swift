import DynamicLibraries

/// A codec that a system library decompresses, if installed.
public enum CompressionLibrary: CaseIterable, Sendable {
  case zstd
  case brotli

  /// The codec's name in the format's definition.
  public var codecName: String {
    switch self {
    case .zstd: "ZSTD"
    case .brotli: "BROTLI"
    }
  }

  /// The file name of the library.
  public var fileName: String {
    switch self {
    case .zstd: "libzstd.so.1"
    case .brotli: "libbrotlidec.so.1"
    }
  }

  /// The package to install if it is missing, as named in Debian and Ubuntu.
  public var packageName: String {
    switch self {
    case .zstd: "libzstd1"
    case .brotli: "libbrotli1"
    }
  }

  /// The library's version and its location; nil if it is missing.
  public var found: String? {
    switch self {
    case .zstd: Zstd.shared.map { "\($0.version) (\($0.path))" }
    case .brotli: Brotli.shared.map { "\($0.version) (\($0.path))" }
    }
  }
}

/// The functions of libzstd that are used here.
struct Zstd: Sendable {
  typealias Decompress =
    @convention(c) @Sendable (
      UnsafeMutableRawPointer?, Int, UnsafeRawPointer?, Int
    ) -> Int

  static let shared = Zstd()

  let decompress: Decompress
  private let isError: @convention(c) @Sendable (Int) -> UInt32
  let version: String
  let path: String

  private init?() {
    guard let library = DynamicLibrary(anyOf: CompressionLibrary.zstd.fileName),
      let decompress = library.function("ZSTD_decompress", as: Decompress.self),
      let isError = library.function(
        "ZSTD_isError", as: (@convention(c) @Sendable (Int) -> UInt32).self),
      let versionText = library.function(
        "ZSTD_versionString", as: (@convention(c) () -> UnsafePointer<CChar>?).self)
    else { return nil }
    self.decompress = decompress
    self.isError = isError
    version = versionText().map { String(cString: $0) } ?? "of unknown version"
    path = library.path(ofFunction: "ZSTD_decompress")
  }

  /// Returns the decompressed size; nil if the bytes are damaged or do not fit.
  func unpack(
    _ bytes: UnsafeRawPointer, _ byteCount: Int, into output: UnsafeMutableRawPointer,
    _ capacity: Int
  ) -> Int? {
    let count = decompress(output, capacity, bytes, byteCount)
    return isError(count) == 0 ? count : nil
  }
}

/// The functions of libbrotlidec that are used here.
struct Brotli: Sendable {
  typealias Decompress =
    @convention(c) @Sendable (
      Int, UnsafeRawPointer?, UnsafeMutablePointer<Int>?, UnsafeMutableRawPointer?
    ) -> Int32

  static let shared = Brotli()

  private let decompress: Decompress
  let version: String
  let path: String

  private init?() {
    guard let library = DynamicLibrary(anyOf: CompressionLibrary.brotli.fileName),
      let decompress = library.function("BrotliDecoderDecompress", as: Decompress.self),
      let versionNumber = library.function(
        "BrotliDecoderVersion", as: (@convention(c) () -> UInt32).self)
    else { return nil }
    self.decompress = decompress
    let number = versionNumber()
    version = "\(number >> 24).\(number >> 12 & 0xfff).\(number & 0xfff)"
    path = library.path(ofFunction: "BrotliDecoderDecompress")
  }

  /// Returns the decompressed size; nil if the bytes are damaged or do not fit.
  func unpack(
    _ bytes: UnsafeRawPointer, _ byteCount: Int, into output: UnsafeMutableRawPointer,
    _ capacity: Int
  ) -> Int? {
    var count = capacity
    let success: Int32 = 1
    return decompress(byteCount, bytes, &count, output) == success ? count : nil
  }
}

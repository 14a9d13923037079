/// The compression of a column chunk's pages.
public enum Codec: Sendable, Equatable, CustomStringConvertible {
  case uncompressed
  case snappy
  case gzip
  case brotli
  /// The deprecated form of LZ4, with the frames of Hadoop or without.
  case lz4
  case zstd
  case lz4Raw
  /// An unsupported codec, by its number in the format's definition.
  case other(Int32)

  init(_ number: Int32) {
    switch number {
    case 0: self = .uncompressed
    case 1: self = .snappy
    case 2: self = .gzip
    case 4: self = .brotli
    case 5: self = .lz4
    case 6: self = .zstd
    case 7: self = .lz4Raw
    default: self = .other(number)
    }
  }

  public var description: String {
    switch self {
    case .uncompressed: "UNCOMPRESSED"
    case .snappy: "SNAPPY"
    case .gzip: "GZIP"
    case .brotli: "BROTLI"
    case .lz4: "LZ4"
    case .zstd: "ZSTD"
    case .lz4Raw: "LZ4_RAW"
    case .other(3): "LZO"
    case .other(let number): "unknown codec \(number)"
    }
  }

  /// The library that decompresses it, if this program does not do it itself.
  private var library: CompressionLibrary? {
    switch self {
    case .zstd: .zstd
    case .brotli: .brotli
    case .uncompressed, .snappy, .gzip, .lz4, .lz4Raw, .other: nil
    }
  }

  /// Returns why such pages cannot be read here, and the remedy; nil if they can.
  ///
  /// - Parameter path: the path of the file, for the command that rewrites it
  func obstacle(path: String) -> String? {
    obstacle(path: path, isFound: library?.found != nil)
  }

  /// - Parameter isFound: whether the library that it needs is installed
  package func obstacle(path: String, isFound: Bool) -> String? {
    let remedy =
      "write the file again with snappy, for example: duckdb -c \"COPY (FROM '\(path)') TO "
      + "'snappy.parquet' (COMPRESSION snappy)\""
    if case .other = self { return "compressed with \(self), which is not supported; \(remedy)" }
    guard let library, !isFound else { return nil }
    return "compressed with \(self), for which \(library.fileName) is missing; install it (package "
      + "\(library.packageName)), or \(remedy)"
  }
}

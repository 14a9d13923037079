import Checkpoints
import NN

/// The tensors of another checkpoint under other names; some are slices or transposes of its
/// tensors.
///
/// Nothing is copied: a tensor is looked up when it is read.
struct RenamedCheckpoint: CheckpointSource {
  /// The origin of a tensor's numbers.
  struct Origin {
    var name: String
    /// Rows of the first dimension; all if nil.
    var rows: Range<Int>?
    var isTransposed = false
    /// Whether a 1 x 1 convolution becomes a matrix.
    var isFlattened = false
  }

  private struct Place {
    let entry: TensorEntry
    let source: TensorEntry
    /// The offset of this tensor in the source, in bytes.
    let offset: Int
    let isTransposed: Bool
  }

  let entries: [TensorEntry]
  private let source: any CheckpointSource
  private let positions: [String: Place]

  /// - Parameter origins: the origins by new name
  init(_ source: any CheckpointSource, _ origins: [String: Origin]) throws {
    self.source = source
    positions = try Dictionary(
      uniqueKeysWithValues: origins.map { name, origin in
        (name, try Self.place(name, origin, in: source))
      })
    entries = positions.values.map(\.entry).sorted { $0.name < $1.name }
  }

  var path: String { source.path }
  var metadata: [String: String] { source.metadata }

  func nameInFile(of name: String) -> String {
    positions[name].map { source.nameInFile(of: $0.source.name) } ?? name
  }

  func find(_ name: String) -> TensorEntry? { positions[name]?.entry }

  func read(
    _ name: String, from offset: Int, into buffer: UnsafeMutableRawBufferPointer
  ) throws {
    guard let place = positions[name] else {
      throw CheckpointError.missingTensor(path: path, tensor: name)
    }
    guard place.isTransposed else {
      return try source.read(place.source.name, from: place.offset + offset, into: buffer)
    }
    let transposed = try Self.transposed(source.bytes(place.source.name), place.source)
    buffer.copyBytes(from: transposed[offset..<offset + buffer.count])
  }

  /// Returns the origins of all tensors whose names begin with `prefix`, by new name.
  ///
  /// - Parameter translate: maps the rest of the name to the origins taken from this tensor
  static func origins(
    in source: any CheckpointSource, prefix: String,
    _ translate: (String, TensorEntry) -> [String: Origin]
  ) throws -> [String: Origin] {
    var origins: [String: Origin] = [:]
    for entry in source.entries where entry.name.hasPrefix(prefix) {
      for (name, origin) in translate(String(entry.name.dropFirst(prefix.count)), entry) {
        var origin = origin
        origin.name = entry.name
        if let other = origins.updateValue(origin, forKey: name) {
          throw CheckpointWeightsError.ambiguous(path: source.path, entry.name, other.name)
        }
      }
    }
    return origins
  }

  private static func place(
    _ name: String, _ origin: Origin, in source: any CheckpointSource
  ) throws -> Place {
    let entry = try source.entry(origin.name)
    func malformed(_ problem: String) -> CheckpointError {
      .malformedTensor(path: source.path, tensor: origin.name, problem: problem)
    }
    var shape = entry.shape
    var offset = 0
    if let rows = origin.rows {
      guard let count = shape.first, rows.upperBound <= count, count > 0 else {
        throw malformed("its shape \(shape) has no rows \(rows)")
      }
      shape[0] = rows.count
      offset = entry.byteCount / count * rows.lowerBound
    }
    if origin.isTransposed {
      guard shape.count == 2, entry.type.bitCount % 8 == 0 else {
        throw malformed("its shape \(shape) is not that of a matrix")
      }
      shape.reverse()
    }
    if origin.isFlattened {
      guard shape.count >= 2, shape.dropFirst(2).allSatisfy({ $0 == 1 }) else {
        throw malformed("its shape \(shape) is not that of a convolution of 1 x 1")
      }
      shape.removeLast(shape.count - 2)
    }
    guard let renamed = TensorEntry(name: name, type: entry.type, shape: shape) else {
      throw malformed("its rows do not fill whole bytes")
    }
    return Place(
      entry: renamed, source: entry, offset: offset, isTransposed: origin.isTransposed)
  }

  private static func transposed(_ bytes: [UInt8], _ entry: TensorEntry) -> [UInt8] {
    let (rows, columns) = (entry.shape[0], entry.shape[1])
    let size = entry.type.bitCount / 8
    var result = [UInt8](repeating: 0, count: bytes.count)
    for row in 0..<rows {
      for column in 0..<columns {
        for byte in 0..<size {
          result[(column * rows + row) * size + byte] =
            bytes[(row * columns + column) * size + byte]
        }
      }
    }
    return result
  }
}

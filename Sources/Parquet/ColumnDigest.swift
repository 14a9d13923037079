import Files

/// The contents of one leaf column as one hash, for comparison with other readers.
public struct ColumnDigest: Sendable {
  public enum Outcome: Sendable, Equatable {
    /// SHA-256 of the values that are not null, in order, in hexadecimal.
    case values(sha256: String)
    /// Why the column cannot be read although the file is valid.
    case unsupported(String)
  }

  public let column: LeafColumn
  public let nonNullCount: Int
  public let outcome: Outcome
}

extension ParquetFile {
  /// Reads one column of the whole file and hashes its values.
  ///
  /// Numbers are hashed as stored, little-endian; booleans as one byte; byte arrays, including
  /// those of fixed length, after their length in 4 bytes. INT96 is not hashed.
  public func digest(of column: LeafColumn) throws(ParquetError) -> ColumnDigest {
    let reader = ColumnReader(self, column)
    var hash = ValueHash()
    var count = 0
    do throws(ParquetError) {
      for group in rowGroups.indices {
        try reader.open(rowGroup: group)
        while try reader.nextEntries() > 0 {
          while reader.pendingValues > 0 {
            let values = try reader.nextValues()
            hash.append(reader.batch, values, of: column)
            count += values
          }
        }
      }
    } catch {
      guard case .unsupported(_, _, _, let reason) = error else { throw error }
      return ColumnDigest(column: column, nonNullCount: count, outcome: .unsupported(reason))
    }
    let outcome: ColumnDigest.Outcome =
      column.physicalType == .int96
      ? .unsupported("INT96, a deprecated timestamp type, is not hashed")
      : .values(sha256: hash.finalize())
    return ColumnDigest(column: column, nonNullCount: count, outcome: outcome)
  }
}

/// Collects short values, to feed the hash in large chunks.
private struct ValueHash {
  private static let stagedByteCount = 1 << 16

  private var hash = SHA256()
  private var staged: [UInt8] = []

  init() { staged.reserveCapacity(Self.stagedByteCount) }

  mutating func append(_ batch: ValueBatch, _ count: Int, of column: LeafColumn) {
    switch column.physicalType {
    case .byteArray:
      for index in 0..<count { append(batch.views[index]) }
    case .fixedLengthByteArray:
      let width = column.typeLength
      for index in 0..<count {
        append(UnsafeRawBufferPointer(start: batch.fixed + index * width, count: width))
      }
    default:
      hash.update(UnsafeRawBufferPointer(start: batch.fixed, count: count * column.valueWidth))
    }
  }

  mutating func finalize() -> String {
    hash.update(staged)
    return hash.finalize().hexadecimal
  }

  private mutating func append(_ value: UnsafeRawBufferPointer) {
    if staged.count + 4 + value.count > Self.stagedByteCount {
      hash.update(staged)
      staged.removeAll(keepingCapacity: true)
    }
    withUnsafeBytes(of: UInt32(value.count).littleEndian) { staged.append(contentsOf: $0) }
    if value.count < Self.stagedByteCount / 2 {
      staged.append(contentsOf: value)
    } else {
      hash.update(staged)
      staged.removeAll(keepingCapacity: true)
      hash.update(value)
    }
  }
}

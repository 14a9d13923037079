import Files

/// The layout of a part's file; all numbers are little-endian.
///
///     "SPOPART1"   header's byte count (4)   header, JSON   SHA-256 of all so far (32)
///     record       for every item that is done
///     record       the index, when the part is complete: every record's offset (8) and head
///     offset of the index (8)   "SPODONE1"
///
/// A record is its head and an output:
///
///     kind (4)   item's position (8)   output's byte count (8)   item's key (32)
///     SHA-256 of the head so far and the output (32)
enum PartFormat {
  static let magic = Array("SPOPART1".utf8)
  static let end = Array("SPODONE1".utf8)
  static let digestSize = 32
  static let headSize = 4 + 8 + 8 + 2 * digestSize
  static let indexEntrySize = 8 + headSize
  static let trailerSize = 8 + end.count
  static let maximumHeaderSize = 1 << 20

  static func littleEndian<Integer: FixedWidthInteger>(_ number: Integer) -> [UInt8] {
    withUnsafeBytes(of: number.littleEndian) { Array($0) }
  }
}

/// The key of an item or an output: the first half of a SHA-256.
package struct PartKey: Hashable {
  private let high: UInt64
  private let low: UInt64

  init(digest: some Collection<UInt8>) {
    high = digest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    low = digest.dropFirst(8).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// - Parameter text: the stage's name for the item
  init(of text: String) { self.init(digest: SHA256.digest(of: Array(text.utf8))) }
}

/// One record of a part's file, without its output.
package struct PartEntry: Equatable {
  package enum Kind: String {
    case output = "item"
    case rejection = "fail"
    case index = "list"
  }

  var kind: Kind
  /// The position of the item among all items of the stage.
  package var position: Int
  var key: PartKey
  /// The offset of the record in the file.
  package var offset: Int
  /// The size of the output.
  var byteCount: Int
  /// The digest of the head and the output.
  var digest: PartKey

  /// The offset at which the next record begins.
  var end: Int { offset + PartFormat.headSize + byteCount }

  /// Nil unless `head` is a valid head with numbers in range.
  init?(head: [UInt8], at offset: Int) {
    var reader = ByteReader(head)
    guard let name = try? reader.take(4),
      let kind = Kind(rawValue: String(decoding: name, as: UTF8.self)),
      let position = (try? reader.take(UInt64.self)).flatMap(Int.init(exactly:)),
      let byteCount = (try? reader.take(UInt64.self)).flatMap(Int.init(exactly:)),
      let key = try? reader.take(PartFormat.digestSize),
      let digest = try? reader.take(PartFormat.digestSize)
    else { return nil }
    self.kind = kind
    self.position = position
    self.key = PartKey(digest: key)
    self.offset = offset
    self.byteCount = byteCount
    self.digest = PartKey(digest: digest)
  }
}

/// The header of a part's file.
package struct PartHeader {
  var stage: String
  var index: Int
  package var count: Int
  /// The fingerprint of what the outputs depend on; parts with the same fingerprint belong
  /// together.
  var fingerprint: String
  var basis: StageBasis
  /// The device that computes.
  var device: String
  /// The number of the stage's items, over all parts, that were not done when the part began.
  var itemCount: Int

  var json: JSON {
    var json = JSON.Object()
    json["stage"] = .string(stage)
    json["part"] = .integer(index)
    json["parts"] = .integer(count)
    json["fingerprint"] = .string(fingerprint)
    json["device"] = .string(device)
    json["items"] = .integer(itemCount)
    basis.write(into: &json)
    return .object(json)
  }

  init(
    stage: String, partition: Partition, basis: StageBasis, device: String, itemCount: Int
  ) {
    self.stage = stage
    (index, count) = (partition.index, partition.count)
    self.basis = basis
    fingerprint = basis.fingerprint
    self.device = device
    self.itemCount = itemCount
  }

  init(_ reader: JSONReader) throws(JSONError) {
    stage = try reader.string("stage")
    index = try reader.int("part")
    count = try reader.int("parts")
    guard count >= 1, (1...count).contains(index) else {
      throw .unexpected(
        path: reader.path, expected: "a part number and the number of parts",
        found: "part \(index) of \(count)")
    }
    fingerprint = try reader.string("fingerprint")
    device = try reader.string("device")
    itemCount = try reader.int("items")
    basis = try StageBasis(reader)
  }
}

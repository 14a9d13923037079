/// The distinct values of a column chunk, which its data pages refer to by index.
struct ValueDictionary {
  let count: Int
  private let bytes: UnsafeRawPointer
  private let width: Int
  /// For byte arrays: the offset of each value's length.
  private let offsets: [UInt32]

  /// Reads a dictionary page; its bytes must stay where they are.
  ///
  /// - Parameter width: bytes a value, or 0 for byte arrays.
  init(
    _ bytes: UnsafeRawPointer, byteCount: Int, count: Int, width: Int
  ) throws(Fault) {
    self.bytes = bytes
    self.count = count
    self.width = width
    if width > 0 {
      guard count <= byteCount / width else {
        throw .malformed("a dictionary of \(count) values of \(width) bytes in \(byteCount) bytes")
      }
      offsets = []
      try refuseRest(bytes + count * width, byteCount - count * width)
      return
    }
    guard count <= byteCount / 4 else {
      throw .malformed("a dictionary of \(count) byte arrays in \(byteCount) bytes")
    }
    var offsets: [UInt32] = []
    offsets.reserveCapacity(count)
    var position = 0
    for index in 0..<count {
      guard byteCount - position >= 4 else {
        throw .malformed("the dictionary ends before value \(index) of \(count)")
      }
      let length = Int((bytes + position).loadUnaligned(as: UInt32.self).littleEndian)
      guard length <= byteCount - position - 4 else {
        throw .malformed(
          "dictionary value \(index) has \(length) bytes, "
            + "but \(byteCount - position - 4) are left")
      }
      offsets.append(UInt32(position))
      position += 4 + length
    }
    try refuseRest(bytes + position, byteCount - position)
    self.offsets = offsets
  }

  /// The byte array at an index below `count`.
  func view(_ index: UInt32) -> UnsafeRawBufferPointer {
    let start = bytes + Int(offsets[Int(index)])
    let length = Int(start.loadUnaligned(as: UInt32.self).littleEndian)
    return UnsafeRawBufferPointer(start: start + 4, count: length)
  }

  /// Copies the values of fixed width at indices below `count` one after another.
  func gather(
    _ indices: UnsafePointer<UInt32>, _ indexCount: Int, into output: UnsafeMutableRawPointer
  ) {
    switch width {
    case 4: gather(indices, indexCount, into: output, as: UInt32.self)
    case 8: gather(indices, indexCount, into: output, as: UInt64.self)
    default:
      for index in 0..<indexCount {
        (output + index * width).copyMemory(
          from: bytes + Int(indices[index]) * width, byteCount: width)
      }
    }
  }

  private func gather<Word: FixedWidthInteger>(
    _ indices: UnsafePointer<UInt32>, _ indexCount: Int, into output: UnsafeMutableRawPointer,
    as word: Word.Type
  ) {
    let size = MemoryLayout<Word>.size
    for index in 0..<indexCount {
      let value = bytes.loadUnaligned(fromByteOffset: Int(indices[index]) * size, as: Word.self)
      output.storeBytes(of: value, toByteOffset: index * size, as: Word.self)
    }
  }
}

/// Values as indices into the chunk's dictionary: one byte for their width, then runs.
final class DictionaryDecoder: ValueDecoder {
  private let dictionary: ValueDictionary
  private let start: UnsafeRawPointer
  private let byteCount: Int
  private let width: Int
  private var indices: HybridDecoder?
  /// An out-of-bounds index that valid values still precede.
  private var fault: Fault?

  /// - Parameter width: bytes a value, or 0 for byte arrays.
  init(
    _ start: UnsafeRawPointer, byteCount: Int, dictionary: ValueDictionary, width: Int
  ) {
    self.dictionary = dictionary
    self.start = start
    self.byteCount = byteCount
    self.width = width
  }

  func next(_ count: Int, into batch: ValueBatch) throws(Fault) -> Int {
    if let fault { throw fault }
    try beginIndices()
    let count = ValueBatch.stepCount(count, width: width)
    try indices?.read(count, into: batch.indices)
    let valid = try countValid(batch.indices, count)
    if width > 0 {
      try batch.scratch.reserve(valid * width)
      dictionary.gather(batch.indices, valid, into: batch.scratch.base)
      batch.fixed = UnsafeRawPointer(batch.scratch.base)
    } else {
      for index in 0..<valid { batch.views[index] = dictionary.view(batch.indices[index]) }
    }
    return valid
  }

  func skip(_ count: Int, using batch: ValueBatch) throws(Fault) {
    try beginIndices()
    try indices?.skip(count)
  }

  func finish() {}

  private func beginIndices() throws(Fault) {
    // A page of nulls may lack even the byte of the width.
    if indices == nil {
      guard byteCount > 0 else { throw .malformed("the page has no dictionary indices") }
      indices = try HybridDecoder(
        start + 1, byteCount: byteCount - 1, width: Int(start.load(as: UInt8.self)))
    }
  }

  /// Returns the number of leading indices within the dictionary.
  private func countValid(
    _ indices: UnsafePointer<UInt32>, _ count: Int
  ) throws(Fault) -> Int {
    var largest: UInt32 = 0
    for index in 0..<count { largest = max(largest, indices[index]) }
    if Int(largest) < dictionary.count { return count }
    var valid = 0
    while Int(indices[valid]) < dictionary.count { valid += 1 }
    let fault = Fault.malformed(
      "dictionary index \(indices[valid]), but the dictionary has \(dictionary.count)")
    self.fault = fault
    if valid == 0 { throw fault }
    return valid
  }
}

/// Machine code for NVIDIA's GPUs: an ELF file of 64 bits.
///
/// The driver is told where it begins, not where it ends: what was read from a file must not point beyond.
enum CUDABinary {
  private static let magic: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1]
  private static let headerSize = 64
  private static let sectionSize = 64
  private static let segmentSize = 56
  /// Of sections that take room in memory alone.
  private static let typeWithoutBytes: UInt32 = 8

  /// Whether all its tables, sections and segments lie within it.
  static func isWhole(_ code: [UInt8]) -> Bool {
    guard code.starts(with: magic), code.count >= headerSize,
      let segments = table(code, offset: 32, sizes: 54, of: segmentSize),
      let sections = table(code, offset: 40, sizes: 58, of: sectionSize), !sections.isEmpty
    else { return false }
    return segments.allSatisfy { isInside(code, offset: $0 + 8, count: $0 + 32) }
      && sections.allSatisfy {
        number(code, at: $0 + 4, UInt32.self) == typeWithoutBytes
          || isInside(code, offset: $0 + 24, count: $0 + 32)
      }
  }

  /// Where a table's entries begin; nil if one of them is not within the code.
  ///
  /// - Parameters:
  ///   - offset: where its own offset stands
  ///   - sizes: where the size of an entry stands, and their number
  private static func table(
    _ code: [UInt8], offset: Int, sizes: Int, of size: Int
  ) -> [Int]? {
    let count = Int(number(code, at: sizes + 2, UInt16.self))
    guard count > 0 else { return [] }
    guard Int(number(code, at: sizes, UInt16.self)) == size,
      let start = Int(exactly: number(code, at: offset, UInt64.self)), start <= code.count,
      count * size <= code.count - start
    else { return nil }
    return (0..<count).map { start + $0 * size }
  }

  private static func isInside(_ code: [UInt8], offset: Int, count: Int) -> Bool {
    let (start, size) = (
      number(code, at: offset, UInt64.self), number(code, at: count, UInt64.self)
    )
    return start <= code.count && size <= UInt64(code.count) - start
  }

  private static func number<Number: FixedWidthInteger>(
    _ code: [UInt8], at offset: Int, _ type: Number.Type
  ) -> Number {
    code[offset..<offset + MemoryLayout<Number>.size].reversed()
      .reduce(0) { $0 << 8 | Number($1) }
  }
}

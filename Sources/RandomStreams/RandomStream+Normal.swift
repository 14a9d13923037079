extension RandomStream: NormalSource {
  /// Overwrites `values` with standard normal numbers.
  ///
  /// Box and Muller's transform on groups of eight blocks: word 0 of block j gives the radius and word
  /// 1 the angle of values j and j + 8; words 2 and 3 those of values j + 16 and j + 24. A call begins
  /// with a fresh group and uses a prefix of the last one, so a longer fill starts with a shorter one.
  /// Only exactly rounded operations are used: every processor gives the same bits.
  public mutating func fillNormal(_ values: UnsafeMutableBufferPointer<Float>) {
    discardPartialBlock()
    let groupByteCount = MemoryLayout<NormalGroup>.size
    var rest = UnsafeMutableRawBufferPointer(values)[...]
    while rest.count >= groupByteCount {
      rest.storeBytes(of: normalGroup(), as: NormalGroup.self)
      rest = rest.dropFirst(groupByteCount)
    }
    guard !rest.isEmpty else { return }
    withUnsafeBytes(of: normalGroup()) { rest.copyBytes(from: $0.prefix(rest.count)) }
  }

  /// One standard normal number.
  public mutating func normal() -> Float {
    var value: Float = 0
    withUnsafeMutablePointer(to: &value) {
      fillNormal(UnsafeMutableBufferPointer(start: $0, count: 1))
    }
    return value
  }
}

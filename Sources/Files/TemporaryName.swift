/// Names of files and folders that are being written: `NAME.tmp.` and 16 random hexadecimal digits.
///
/// Nobody can foresee such a name, and so put a link in its place.
public enum TemporaryName {
  private static let mark = Array(".tmp.".utf8)
  private static let digitCount = 16
  /// The longest name that the usual file systems allow, in bytes.
  private static let maximumCount = 255

  /// A new path in the folder of `path`.
  public static func beside(_ path: String) -> String {
    let start = path.lastIndex(of: "/").map(path.index(after:)) ?? path.startIndex
    var name = path[start...]
    while name.utf8.count > maximumCount - mark.count - digitCount { name.removeLast() }
    let digits = String(UInt64.random(in: 0...UInt64.max), radix: 16)
    let zeros = String(repeating: "0", count: digitCount - digits.count)
    return "\(path[..<start])\(name).tmp.\(zeros)\(digits)"
  }

  /// Whether a file or folder of this name is one that a killed process left.
  ///
  /// Only whoever holds the lock of a folder can know that no other process still writes it.
  public static func matches(_ name: String) -> Bool { target(of: name) != nil }

  /// The name that a temporary file or folder would have got; nil if it is none.
  ///
  /// - Parameter earlier: takes also the names that earlier versions gave, `NAME.tmp.PROCESS`, which
  ///   anybody may have given
  public static func target(of name: String, earlier: Bool = false) -> String? {
    let bytes = Array(name.utf8)
    guard let point = bytes.lastIndex(of: UInt8(ascii: ".")),
      bytes[...point].suffix(mark.count).elementsEqual(mark)
    else { return nil }
    let (target, digits) = (bytes[...point].dropLast(mark.count), bytes[(point + 1)...])
    func isDecimal(_ digit: UInt8) -> Bool {
      (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit)
    }
    let isOurs =
      digits.count == digitCount
      && digits.allSatisfy { isDecimal($0) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0) }
    let isEarlier = earlier && !digits.isEmpty && digits.allSatisfy(isDecimal)
    guard !target.isEmpty, isOurs || isEarlier else { return nil }
    return String(decoding: target, as: UTF8.self)
  }
}

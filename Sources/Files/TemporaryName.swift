/// Names of files and folders that are being written: `NAME.tmp.` and 16 random hexadecimal digits.
///
/// Nobody can predict such a name and create a link under it.
public enum TemporaryName {
  private static let mark = Array(".tmp.".utf8)
  private static let digitCount = 16
  /// The longest name that common file systems allow, in bytes.
  private static let maximumCount = 255

  /// Returns a new path in the folder of `path`.
  public static func beside(_ path: String) -> String {
    let start = path.lastIndex(of: "/").map(path.index(after:)) ?? path.startIndex
    var name = path[start...]
    while name.utf8.count > maximumCount - mark.count - digitCount { name.removeLast() }
    let digits = String(UInt64.random(in: 0...UInt64.max), radix: 16)
    let zeros = String(repeating: "0", count: digitCount - digits.count)
    return "\(path[..<start])\(name).tmp.\(zeros)\(digits)"
  }

  /// Whether a killed process may have left a file or folder of this name.
  ///
  /// Only the holder of a folder's lock can know that no other process is still writing it.
  public static func matches(_ name: String) -> Bool { target(of: name) != nil }

  /// Returns the final name of a temporary file or folder; nil if it is not one.
  ///
  /// - Parameter earlier: also accepts names of earlier versions, `NAME.tmp.PROCESS`, which may be
  ///   the user's
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

/// Sizes formatted for display.
public enum ByteCount {
  /// Returns a size in a suitable unit, such as `812 bytes`, `64.3 MB` or `7.5 GB`.
  public static func text(_ byteCount: Int) -> String {
    guard byteCount.magnitude >= 1_000 else { return "\(byteCount) bytes" }
    var value = Double(byteCount) / 1_000
    var units = ["kB", "MB", "GB", "TB"][...]
    while value.magnitude >= 1_000, units.count > 1 {
      value /= 1_000
      units.removeFirst()
    }
    let number =
      value.magnitude < 100 ? "\((value * 10).rounded() / 10)" : "\(Int(value.rounded()))"
    return "\(number) \(units.first ?? "")"
  }
}

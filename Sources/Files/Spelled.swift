/// Numbers formatted for display.
package enum Spelled {
  /// A number of things that are named in the plural, such as `1 batch` or `12,345 rows`.
  package static func count(_ number: Int, of things: String) -> String {
    guard number == 1, !things.contains(" ") else { return "\(count(number)) \(things)" }
    if things.hasSuffix("ies") { return "1 \(things.dropLast(3))y" }
    return "1 \(things.dropLast(things.hasSuffix("ches") ? 2 : things.hasSuffix("s") ? 1 : 0))"
  }

  /// An integer with commas, such as `12,345`.
  package static func count(_ number: Int) -> String {
    var groups: [String] = []
    var rest = number.magnitude
    while rest >= 1_000 {
      let digits = String(rest % 1_000)
      groups.append(String(repeating: "0", count: 3 - digits.count) + digits)
      rest /= 1_000
    }
    groups.append("\(number < 0 ? "-" : "")\(rest)")
    return groups.reversed().joined(separator: ",")
  }

  /// A time such as `0.4 s`, `43 s`, `2 min 05 s`, `3 h 20 min` or `2 d 4 h`.
  package static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e15 else { return "forever" }
    if seconds < 10 { return "\(decimal(seconds)) s" }
    let whole = Int(seconds.rounded())
    if whole < 60 { return "\(whole) s" }
    if whole < 3_600 { return "\(whole / 60) min \(twoDigits(whole % 60)) s" }
    if whole < 86_400 { return "\(whole / 3_600) h \(twoDigits(whole / 60 % 60)) min" }
    return "\(whole / 86_400) d \(whole / 3_600 % 24) h"
  }

  /// Returns an estimated duration in one unit: `40 minutes`, `5 days`, `3 years`.
  package static func about(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e12 else { return "forever" }
    let units = [
      ("second", 1.0), ("minute", 60), ("hour", 3_600), ("day", 86_400), ("week", 604_800),
      ("month", 2_629_746), ("year", 31_556_952),
    ]
    guard seconds >= 1 else { return "a moment" }
    // Two of a unit sound better than fourteen of the one below; weeks begin at three.
    let unit =
      units.last { $0.0 == "week" ? seconds >= 3 * $0.1 : seconds >= 1.95 * $0.1 } ?? units[0]
    let number = Int((seconds / unit.1).rounded())
    return "\(count(number)) \(unit.0)\(number == 1 ? "" : "s")"
  }

  /// Returns a rate with about three digits, such as `0.04`, `3.1` or `120`.
  package static func rate(_ perSecond: Double) -> String {
    if perSecond >= 10 { return count(Int(min(perSecond, 1e15).rounded())) }
    return perSecond >= 1 ? decimal(perSecond) : "\((perSecond * 100).rounded() / 100)"
  }

  private static func decimal(_ number: Double) -> String { "\((number * 10).rounded() / 10)" }
  private static func twoDigits(_ number: Int) -> String {
    number < 10 ? "0\(number)" : "\(number)"
  }
}

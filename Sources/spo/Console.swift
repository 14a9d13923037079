#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Text for people: results on standard output, the rest on standard error.
enum Console {
  static var hasTerminal: Bool { isatty(STDERR_FILENO) == 1 }

  static func print(_ text: String) { send("\(text)\n", to: STDOUT_FILENO) }
  static func note(_ text: String) { send("\(text)\n", to: STDERR_FILENO) }

  /// One line, whatever the text holds.
  static func complain(_ text: String) {
    note(text.split(separator: "\n").joined(separator: " "))
  }

  /// Text without a line's end, for the line that progress is shown on.
  static func noteInPlace(_ text: String) { send(text, to: STDERR_FILENO) }

  /// Straight to the descriptor, so that lines of both streams keep their order.
  private static func send(_ text: String, to descriptor: Int32) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 {
        if errno == EINTR { continue }
        return
      }
      rest = rest.dropFirst(count)
    }
  }
}

/// Numbers as people read them.
enum Spelled {
  /// A whole number with commas, such as `12,345`.
  static func count(_ number: Int) -> String {
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
  static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e15 else { return "forever" }
    if seconds < 10 { return "\(decimal(seconds)) s" }
    let whole = Int(seconds.rounded())
    if whole < 60 { return "\(whole) s" }
    if whole < 3_600 { return "\(whole / 60) min \(twoDigits(whole % 60)) s" }
    if whole < 86_400 { return "\(whole / 3_600) h \(twoDigits(whole / 60 % 60)) min" }
    return "\(whole / 86_400) d \(whole / 3_600 % 24) h"
  }

  /// A size such as `540 MB` or `7.3 GB`.
  static func bytes(_ count: Int) -> String {
    let megabytes = Double(count) / 1e6
    return megabytes < 1_000
      ? "\(Int(megabytes.rounded(.up))) MB" : "\(decimal(megabytes / 1_000)) GB"
  }

  /// A rate with three digits or so, such as `0.04`, `3.1` or `120`.
  static func rate(_ perSecond: Double) -> String {
    if perSecond >= 10 { return count(Int(min(perSecond, 1e15).rounded())) }
    return perSecond >= 1 ? decimal(perSecond) : "\((perSecond * 100).rounded() / 100)"
  }

  private static func decimal(_ number: Double) -> String { "\((number * 10).rounded() / 10)" }
  private static func twoDigits(_ number: Int) -> String {
    number < 10 ? "0\(number)" : "\(number)"
  }
}

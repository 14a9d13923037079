import Files

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Text for people: results on standard output, the rest on standard error.
enum Console {
  static var hasTerminal: Bool { isatty(STDERR_FILENO) == 1 }

  /// Before anything is opened or written.
  static func prepare() {
    // A stream that the caller closed would be the number of the next file that is opened, and what is
    // printed would end in it. Here, writing to it fails instead.
    for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
    where fcntl(descriptor, F_GETFD) < 0 {
      _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
    // A file beyond the limit on sizes (`ulimit -f`) is an error, not the end by a signal.
    signal(SIGXFSZ, SIG_IGN)
  }

  static func print(_ text: String) throws(OutputFailure) {
    guard send("\(text)\n", to: STDOUT_FILENO) else { throw OutputFailure(code: errno) }
  }

  /// After the last text: some file systems tell only now that they had no room.
  static func finish() throws(OutputFailure) {
    guard close(STDOUT_FILENO) == 0 || errno == EBADF else {
      throw OutputFailure(code: errno)
    }
  }

  /// What cannot be written here has no other place to go.
  static func note(_ text: String) { _ = send("\(text)\n", to: STDERR_FILENO) }

  /// One line, whatever the text holds.
  static func complain(_ text: String) {
    note(text.split(separator: "\n").joined(separator: " "))
  }

  /// Says where files are now that were edited since this program wrote them.
  static func noteKept(_ paths: [String]) {
    for path in paths {
      complain("note: an edited file is kept as \(path.printable)")
    }
  }

  /// Text without a line's end, for the line that progress is shown on.
  static func noteInPlace(_ text: String) { _ = send(text, to: STDERR_FILENO) }

  /// Straight to the descriptor, so that lines of both streams keep their order; false if the system
  /// refuses, with the reason in `errno`.
  private static func send(_ text: String, to descriptor: Int32) -> Bool {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
      if count < 0 {
        if errno == EINTR { continue }
        return false
      }
      rest = rest.dropFirst(count)
    }
    return true
  }
}

/// Standard output cannot be written.
struct OutputFailure: ClassifiedError, CustomStringConvertible {
  /// The system's error number.
  let code: Int32

  var isClosedPipe: Bool { code == EPIPE }
  /// Also where a disk is full: no result of a run is lost with what was to be printed.
  var kind: FailureKind { .other }
  var description: String { "standard output: cannot write: \(String(cString: strerror(code)))" }
}

/// Numbers as people read them.
enum Spelled {
  /// A number of things that are named in the plural, such as `1 batch` or `12,345 rows`.
  static func count(_ number: Int, of things: String) -> String {
    guard number == 1, !things.contains(" ") else { return "\(count(number)) \(things)" }
    if things.hasSuffix("ies") { return "1 \(things.dropLast(3))y" }
    return "1 \(things.dropLast(things.hasSuffix("ches") ? 2 : things.hasSuffix("s") ? 1 : 0))"
  }

  /// An integer with commas, such as `12,345`.
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

  /// A time as one says it of what is only estimated: `40 minutes`, `5 days`, `3 years`.
  static func about(_ seconds: Double) -> String {
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

  /// A size such as `540 MB` or `7.3 GB`.
  static func bytes(_ count: Int) -> String {
    ByteCount.text(count)
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

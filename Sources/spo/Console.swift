import Files
import Glibc

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

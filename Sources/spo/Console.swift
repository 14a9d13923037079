import Files
import Glibc

/// Text output: results on standard output, the rest on standard error.
enum Console {
  static var hasTerminal: Bool { isatty(STDERR_FILENO) == 1 }

  /// Must be called before anything is opened or written.
  static func prepare() {
    // A closed stream's descriptor would be reused for the next file that is opened, and output
    // would end in it. Here, writing to it fails instead.
    for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
    where fcntl(descriptor, F_GETFD) < 0 {
      _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
    }
    // A file beyond the size limit (`ulimit -f`) becomes an error instead of a fatal signal.
    signal(SIGXFSZ, SIG_IGN)
  }

  static func print(_ text: String) throws(OutputFailure) {
    guard send("\(text)\n", to: STDOUT_FILENO) else { throw OutputFailure(code: errno) }
  }

  /// Flushes after the last text: some file systems report only now that they have no space.
  static func finish() throws(OutputFailure) {
    guard close(STDOUT_FILENO) == 0 || errno == EBADF else {
      throw OutputFailure(code: errno)
    }
  }

  /// Prints a note; if this fails, there is nowhere else to report it.
  static func note(_ text: String) { _ = send("\(text)\n", to: STDERR_FILENO) }

  /// Prints an error as one line, whatever the text contains.
  static func complain(_ text: String) {
    note(text.split(separator: "\n").joined(separator: " "))
  }

  /// Reports the new locations of files that were edited since this program wrote them.
  static func noteKept(_ paths: [String]) {
    for path in paths {
      complain("note: an edited file is kept as \(path.printable)")
    }
  }

  /// Prints text without a line break, for the progress line.
  static func noteInPlace(_ text: String) { _ = send(text, to: STDERR_FILENO) }

  /// Writes directly to the descriptor, so that lines of both streams stay in order; false on
  /// failure, with the reason in `errno`.
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
  /// The value of `errno`.
  let code: Int32

  var isClosedPipe: Bool { code == EPIPE }
  var kind: FailureKind { [ENOSPC, EDQUOT, EFBIG].contains(code) ? .space : .other }
  var description: String { "standard output: cannot write: \(String(cString: strerror(code)))" }
}

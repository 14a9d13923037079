import Files
import Foundation
import TestSupport
import Testing

/// The folder that holds `data`, `pipelines` and `Tests`.
let repository = URL(fileURLWithPath: fixturePath(""))
  .deletingLastPathComponent().deletingLastPathComponent().path

/// The outcome of running the built program.
struct Outcome: CustomStringConvertible {
  /// The exit code; nil if a signal ended the program.
  let exitCode: Int32?
  let output: String
  let errors: String

  /// The lines of standard error that state a failure.
  var failures: [Substring] {
    errors.split(separator: "\n").filter { $0.hasPrefix("error:") || $0.hasPrefix("spo") }
  }

  var description: String {
    "exit code \(exitCode.map { "\($0)" } ?? "none, but a signal"), standard error: \(errors.suffix(2_000))"
  }
}

/// The built program, `spo`, while it runs.
final class Program {
  private let process = Process()
  private let folder: String
  private let hasEnded = DispatchSemaphore(value: 0)

  /// SwiftPM puts the program next to the test bundle.
  static let path = URL(fileURLWithPath: Bundle.main.bundlePath).appendingPathComponent("spo").path

  /// - Parameters:
  ///   - folder: the current folder of the program
  ///   - limits: words for the shell's `ulimit` in front of the program, such as `-v 1000000`
  ///   - output: where standard output goes; nil: to a file, for ``Outcome/output``
  ///   - environment: variables in addition to those of the tests
  ///   - emulator: the path and the arguments of what runs the program; empty: the processor does
  init(
    _ arguments: [String], in folder: String = repository, limits: String? = nil,
    output: String? = nil, emulator: [String] = [], environment: [String: String] = [:]
  ) throws {
    self.folder =
      FileManager.default.temporaryDirectory
      .appendingPathComponent("spo-output-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(
      atPath: self.folder, withIntermediateDirectories: true)
    // Files and not pipes: a pipe that nobody empties would stop the program.
    try AtomicFile.replace("\(self.folder)/output", with: [])
    try AtomicFile.replace("\(self.folder)/errors", with: [])
    if let limits {
      process.executableURL = URL(fileURLWithPath: "/bin/sh")
      process.arguments = ["-c", "ulimit \(limits) && exec \"$0\" \"$@\"", Self.path] + arguments
    } else {
      let words = emulator + [Self.path] + arguments
      process.executableURL = URL(fileURLWithPath: words[0])
      process.arguments = Array(words.dropFirst())
    }
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle(forWritingAtPath: output ?? "\(self.folder)/output")
    process.standardError = FileHandle(forWritingAtPath: "\(self.folder)/errors")
    let hasEnded = hasEnded
    process.terminationHandler = { _ in hasEnded.signal() }
    try process.run()
  }

  /// Asks the program to stop, as Ctrl-C does.
  func interrupt() { process.interrupt() }
  /// The same as an engine does.
  func terminate() { process.terminate() }
  /// The same as a terminal that closes does.
  func hangUp() { kill(process.processIdentifier, SIGHUP) }
  /// Ends it as a machine that dies does.
  func die() {
    kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  /// Waits until `condition` holds, for a minute at most.
  func wait(until condition: () throws -> Bool) throws {
    let end = Date(timeIntervalSinceNow: 60)
    while try process.isRunning && !condition() && Date() < end { usleep(10_000) }
  }

  /// Waits for the end, and kills what does not end in `seconds`.
  ///
  /// A signal and a time limit are failures of the test, whatever it is about.
  func outcome(
    within seconds: Double = 240, sourceLocation: SourceLocation = #_sourceLocation
  ) throws -> Outcome {
    if hasEnded.wait(timeout: .now() + seconds) == .timedOut {
      kill(process.processIdentifier, SIGKILL)
      Issue.record("ran longer than \(seconds) s", sourceLocation: sourceLocation)
    }
    process.waitUntilExit()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    func text(_ name: String) throws -> String {
      String(decoding: try RegularFile(path: "\(folder)/\(name)").readAll(), as: UTF8.self)
    }
    let isSignal = process.terminationReason == .uncaughtSignal
    let outcome = Outcome(
      exitCode: isSignal ? nil : process.terminationStatus, output: try text("output"),
      errors: try text("errors"))
    if isSignal {
      Issue.record(
        "signal \(process.terminationStatus): \(outcome)", sourceLocation: sourceLocation)
    }
    return outcome
  }
}

/// Runs the program with these arguments and waits for its end.
@discardableResult
func spo(
  _ arguments: String..., in folder: String = repository, limits: String? = nil,
  output: String? = nil, within seconds: Double = 240,
  sourceLocation: SourceLocation = #_sourceLocation
) throws -> Outcome {
  try Program(arguments, in: folder, limits: limits, output: output)
    .outcome(within: seconds, sourceLocation: sourceLocation)
}

/// Expects a failure of `kind`, stated in one line that names all of `words`.
func expect(
  _ outcome: Outcome, failsAs kind: FailureKind, naming words: String...,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  #expect(outcome.exitCode == kind.rawValue, "\(outcome)", sourceLocation: sourceLocation)
  #expect(outcome.failures.count == 1, "\(outcome)", sourceLocation: sourceLocation)
  for word in words {
    #expect(
      outcome.failures.joined().contains(word), "\"\(word)\" is not named: \(outcome)",
      sourceLocation: sourceLocation)
  }
}

/// Expects exit code 0.
func expectSuccess(_ outcome: Outcome, sourceLocation: SourceLocation = #_sourceLocation) {
  #expect(outcome.exitCode == 0, "\(outcome)", sourceLocation: sourceLocation)
}

/// Writes a file, and makes the folders above it.
func writeText(_ text: String, to path: String) throws {
  try FileManager.default.createDirectory(
    atPath: URL(fileURLWithPath: path).deletingLastPathComponent().path,
    withIntermediateDirectories: true)
  try Data(text.utf8).write(to: URL(fileURLWithPath: path))
}

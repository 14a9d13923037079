import CommandSyntax
import Files
import Glibc
import PipelineCore
import Stages

/// A subcommand of `spo`.
protocol Command {
  static var syntax: CommandSyntax { get }
  /// Runs the command; results go to standard output, errors are thrown.
  static func run(_ arguments: Arguments) throws
}

/// Maps the arguments of a call to its exit code.
enum Program {
  /// The commands in the order shown in help.
  static var commands: [any Command.Type] {
    [
      Run.self, Status.self, Watch.self, Verify.self, CollectGarbage.self, DoctorCommand.self,
      SettingsCommand.self, IngestCommand.self, AuditCommand.self, Inspect.self, Decode.self,
      Sample.self, Evaluate.self,
      Tokenize.self, ApplyCommand.self, Export.self, Bench.self, Completion.self,
    ]
  }

  /// - Returns: 0 for success; otherwise the number of a ``FailureKind``; 129, 130 or 143 if
  ///   interrupted with the state saved.
  static func run(_ words: [String]) -> Int32 {
    Console.prepare()
    do {
      try StackLimit.require()
      try dispatch(words)
      try Console.finish()
      return 0
    } catch { return report(error) }
  }

  /// Reports an error, and returns its exit code.
  ///
  /// - Parameter process: a prefix that names one of several processes
  static func report(_ error: any Error, by process: String = "") -> Int32 {
    switch error {
    case let end as RankedProgram.End: return end.exitCode
    case let error as UsageError:
      Console.complain("\(process)\(error)")
      return error.kind.rawValue
    case let interruption as Interruption:
      Console.complain("\(process)\(interruption)")
      return interruption.exitCode
    case let failure as OutputFailure where failure.isClosedPipe:
      // The reader of the output has closed the pipe.
      return 128 + SIGPIPE
    default:
      Console.complain("error: \(process)\(error)")
      return FailureKind(error).rawValue
    }
  }

  private static func dispatch(_ words: [String]) throws {
    guard let first = words.first else {
      throw UsageError(command: nil, "a command is missing")
    }
    let rest = Array(words.dropFirst())
    switch first {
    case "--version": return try Console.print("spo \(ProgramVersion.current)")
    case "--help", "-h": return try Console.print(help)
    case "help":
      guard let name = rest.first else { return try Console.print(help) }
      return try Console.print(help(on: name))
    default:
      let command = try command(first)
      let arguments = try command.syntax.parse(rest)
      guard !arguments.wantsHelp else { return try Console.print(command.syntax.help) }
      try command.run(arguments)
    }
  }

  /// Returns the help on a command, a stage or a topic.
  private static func help(on name: String) throws -> String {
    if let topic = HelpTopic(rawValue: name) { return topic.text }
    let reference = try SettingsReference(stageTypes)
    if reference.stageNames.contains(name), !commands.contains(where: { $0.syntax.name == name }) {
      return reference.only(name).lines.joined(separator: "\n")
    }
    guard let command = commands.first(where: { $0.syntax.name == name }) else {
      if let setting = reference.setting(named: name) {
        return setting.lines.joined(separator: "\n")
      }
      let topics = HelpTopic.allCases.map(\.rawValue)
      let names = commands.map { $0.syntax.name } + topics + reference.stageNames
      let hint =
        likeliest(name, in: names, otherNames: HelpTopic.otherNames).map { "did you mean \($0)?" }
        ?? "name a command, a stage, or one of: \(topics.joined(separator: ", "))"
      throw UsageError(command: nil, "no help on \"\(name)\"; \(hint)")
    }
    return command.syntax.help
  }

  private static func command(_ name: String) throws(UsageError) -> any Command.Type {
    if let command = commands.first(where: { $0.syntax.name == name }) { return command }
    if stageTypes.contains(where: { $0.name == name }) {
      throw UsageError(
        command: nil,
        "\(name) is a stage, not a command: spo run PIPELINE --through \(name)")
    }
    let names =
      name.hasPrefix("-") ? ["--version", "--help"] : commands.map { $0.syntax.name }
    let hint =
      likeliest(name, in: names, otherNames: otherNames).map { "did you mean \($0)?" }
      ?? "available: \(names.joined(separator: ", "))"
    throw UsageError(command: nil, "unknown command \"\(name)\"; \(hint)")
  }

  /// Other programs' names of a command.
  private static let otherNames: [String: [String]] = [
    "check": ["doctor"], "clean": ["gc"], "compare": ["evaluate"], "convert": ["export"],
    "generate": ["sample"], "info": ["inspect"], "merge": ["export"], "score": ["evaluate"],
    "show": ["inspect"], "train": ["run"], "txt2img": ["sample"], "validate": ["verify"],
  ]

  private static var exitCodes: [(String, String)] {
    [("0", "done")] + FailureKind.allCases.map { ("\($0.rawValue)", $0.meaning) }
      + [("129, 130, 143", "interrupted; finished work is saved; run the same command to continue")]
  }

  private static var help: String {
    let rows = commands.map { ($0.syntax.name, $0.syntax.summary) }
    return """
      Step-by-step preference optimization of diffusion models, from comparisons to a LoRA.

      usage: spo COMMAND ...
             spo help [COMMAND | STAGE | TOPIC]
             spo --version

      commands:
      \(CommandSyntax.columns(rows).joined(separator: "\n"))

      topics of spo help:
      \(CommandSyntax.columns(HelpTopic.allCases.map { ($0.rawValue, $0.summary) }).joined(separator: "\n"))

      examples:
        # everything, on what the repository ships
        spo run pipelines/quickstart.json5
        # the options of a command
        spo run --help

      Results go to standard output, progress to standard error.

      exit codes:
      \(CommandSyntax.columns(exitCodes).joined(separator: "\n"))
      """
  }
}

extension FailureKind {
  /// The description in help.
  fileprivate var meaning: String {
    switch self {
    case .other: "any other failure"
    case .usage: "usage error"
    case .settings: "a setting is unknown, of the wrong type or out of range"
    case .input: "an input is missing, damaged or of the wrong kind"
    case .space: "no space on the disk, or not enough memory"
    case .busy: "another process is using the same workspace"
    case .notFinite: "non-finite numbers (NaN or infinity)"
    case .nothingLearned: "nothing was learned"
    }
  }
}

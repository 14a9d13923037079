import CommandSyntax
import PipelineCore

/// One word after `spo`.
protocol Command {
  static var syntax: CommandSyntax { get }
  /// Results go to standard output; whatever goes wrong is thrown.
  static func run(_ arguments: Arguments) throws
}

/// From the words of a call to its exit code.
enum Program {
  /// In the order in which help shows them.
  static var commands: [any Command.Type] {
    [
      Run.self, Status.self, DoctorCommand.self, SettingsCommand.self, Inspect.self, Decode.self,
      Sample.self, Evaluate.self, Tokenize.self,
      ApplyCommand.self, Export.self, Bench.self,
    ]
  }

  /// - Returns: 0 done; 1 failed; 2 called wrongly; 130 or 143 interrupted, state saved.
  static func run(_ words: [String]) -> Int32 {
    do {
      try dispatch(words)
      return 0
    } catch let error as UsageError {
      Console.complain("\(error)")
      return 2
    } catch let interruption as Interruption {
      Console.complain("\(interruption)")
      return interruption.exitCode
    } catch {
      Console.complain("error: \(error)")
      return 1
    }
  }

  private static func dispatch(_ words: [String]) throws {
    guard let first = words.first else {
      throw UsageError(command: nil, "a command is missing")
    }
    let rest = Array(words.dropFirst())
    switch first {
    case "--help", "-h": return Console.print(help)
    case "help":
      guard let name = rest.first else { return Console.print(help) }
      return Console.print(try command(name).syntax.help)
    default:
      let command = try command(first)
      let arguments = try command.syntax.parse(rest)
      guard !arguments.wantsHelp else { return Console.print(command.syntax.help) }
      try command.run(arguments)
    }
  }

  private static func command(_ name: String) throws(UsageError) -> any Command.Type {
    if let command = commands.first(where: { $0.syntax.name == name }) { return command }
    let names = commands.map { $0.syntax.name }
    let hint =
      nearest(to: name, in: names).map { "did you mean \($0)?" }
      ?? "known are \(names.joined(separator: ", "))"
    throw UsageError(command: nil, "there is no command \"\(name)\"; \(hint)")
  }

  private static var help: String {
    let rows = commands.map { ($0.syntax.name, $0.syntax.summary) }
    return """
      Step-by-step preference optimization of diffusion models, from comparisons to a LoRA.

      usage: spo COMMAND ...

      commands:
      \(CommandSyntax.columns(rows).joined(separator: "\n"))

      examples:
        # everything, on what the repository ships
        spo run pipelines/quickstart.json5
        # what a command takes
        spo run --help

      Results go to standard output, progress to standard error. Exit codes: 0 done, 1 failed,
      2 called wrongly, 130 or 143 interrupted (the same command goes on).
      """
  }
}

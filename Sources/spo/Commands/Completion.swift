import CommandSyntax

/// `spo completion`: prints a script with which a shell completes this program's commands.
enum Completion: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "completion", summary: "Print a completion script for bash, zsh or fish.",
      operands: [CommandSyntax.Operand("SHELL")],
      examples: [
        (
          "source <(spo completion bash)", "in this shell; `make install` sets it up for all shells"
        ),
        ("spo completion fish > ~/.config/fish/completions/spo.fish", "permanently, in fish"),
      ])
  }

  static func run(_ arguments: Arguments) throws {
    let name = arguments.operands[0]
    guard let shell = ShellCompletion(rawValue: name) else {
      let known = ShellCompletion.allCases.map(\.rawValue).joined(separator: ", ")
      throw arguments.error("no completion for \"\(name)\"; available: \(known)")
    }
    try Console.print(shell.script(program: "spo", Program.commands.map { $0.syntax }))
  }
}

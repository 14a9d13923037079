import CommandSyntax

/// `spo completion`: what a shell loads to complete this program's commands.
enum Completion: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "completion", summary: "Print a script that completes commands in bash, zsh or fish.",
      operands: [CommandSyntax.Operand("SHELL")],
      examples: [
        ("source <(spo completion bash)", "in this shell; `make install` does it for all"),
        ("spo completion fish > ~/.config/fish/completions/spo.fish", "in fish, from now on"),
      ])
  }

  static func run(_ arguments: Arguments) throws {
    let name = arguments.operands[0]
    guard let shell = ShellCompletion(rawValue: name) else {
      let known = ShellCompletion.allCases.map(\.rawValue).joined(separator: ", ")
      throw arguments.error("there is no completion for \"\(name)\"; known are \(known)")
    }
    try Console.print(shell.script(program: "spo", Program.commands.map { $0.syntax }))
  }
}

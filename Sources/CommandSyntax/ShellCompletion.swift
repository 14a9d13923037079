/// Scripts that make a shell complete the program's commands and options.
public enum ShellCompletion: String, CaseIterable, Sendable {
  case bash
  case zsh
  case fish

  /// The script for `program`, whose first word is one of `commands`; what is no option is completed as a
  /// file.
  public func script(program: String, _ commands: [CommandSyntax]) -> String {
    switch self {
    case .bash: Self.bashScript(program, commands)
    case .zsh: Self.zshScript(program, commands)
    case .fish: Self.fishScript(program, commands)
    }
  }

  private static func bashScript(_ program: String, _ commands: [CommandSyntax]) -> String {
    let cases = commands.map { command in
      "    \(command.name)) words=\"\(command.optionWords.joined(separator: " "))\" ;;"
    }
    return """
      # Completion of \(program) for bash.
      _\(program)() {
        local current="${COMP_WORDS[COMP_CWORD]}" words=""
        if [ "$COMP_CWORD" -eq 1 ]; then
          COMPREPLY=($(compgen -W "\((commands.map(\.name) + ["help"]).joined(separator: " "))" -- "$current"))
          return
        fi
        case "${COMP_WORDS[1]}" in
          help) words="\(commands.map(\.name).joined(separator: " "))" ;;
      \(cases.joined(separator: "\n"))
        esac
        case "${COMP_WORDS[1]}$current" in
          help*|*--*) COMPREPLY=($(compgen -W "$words" -- "$current")) ;;
          *) compopt -o default; COMPREPLY=() ;;
        esac
      }
      complete -F _\(program) \(program)
      """
  }

  private static func zshScript(_ program: String, _ commands: [CommandSyntax]) -> String {
    let names = commands.map { "    \(quoted("\($0.name):\($0.summary)"))" }
    let cases = commands.map { command in
      let options = command.options.map { option in
        let value = option.placeholder.map { ":\($0):_files" } ?? ""
        let repeats = option.isRepeatable ? "*" : ""
        let help = option.help.replacing("[", with: "(").replacing("]", with: ")")
          .replacing(":", with: "\\:")
        return quoted("\(repeats)--\(option.name)[\(help)]\(value)")
      }
      return
        "    \(command.name)) _arguments \((options + ["'*:file:_files'"]).joined(separator: " ")) ;;"
    }
    return """
      #compdef \(program)
      # Completion of \(program) for zsh.
      _\(program)() {
        local -a commands=(
      \(names.joined(separator: "\n"))
        )
        if (( CURRENT == 2 )); then
          _describe command commands
          return
        fi
        shift words
        (( CURRENT-- ))
        case "${words[1]}" in
          help) _describe command commands ;;
      \(cases.joined(separator: "\n"))
        esac
      }
      _\(program) "$@"
      """
  }

  private static func fishScript(_ program: String, _ commands: [CommandSyntax]) -> String {
    let isFirst = "__fish_use_subcommand"
    let names = commands.map {
      "complete -c \(program) -f -n \(isFirst) -a \($0.name) -d \(quoted($0.summary))"
    }
    let options = commands.flatMap { command in
      command.options.map { option in
        "complete -c \(program) -n '__fish_seen_subcommand_from \(command.name)' -l \(option.name)"
          + (option.placeholder == nil ? "" : " -r") + " -d \(quoted(option.help))"
      }
    }
    return (["# Completion of \(program) for fish."] + names + options).joined(separator: "\n")
  }

  /// A word of a shell's script that stands for this text.
  private static func quoted(_ text: String) -> String {
    "'" + text.replacing("'", with: "'\\''") + "'"
  }
}

extension CommandSyntax {
  fileprivate var optionWords: [String] { options.map { "--\($0.name)" } + ["--help"] }
}

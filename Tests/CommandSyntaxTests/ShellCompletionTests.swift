import CommandSyntax
import Testing

struct ShellCompletionTests {
  private let commands = [
    CommandSyntax(
      name: "draw", summary: "Draw the user's picture.",
      options: [
        .value("size", "WxH", "width [and height]: pixels"), .flag("quiet", "say nothing"),
      ],
      examples: [("spo draw", "a fox")]),
    CommandSyntax(name: "look", summary: "Look at it.", examples: [("spo look", "at a fox")]),
  ]

  @Test("every command and option is in the script", arguments: ShellCompletion.allCases)
  func holdsAll(shell: ShellCompletion) {
    let script = shell.script(program: "spo", commands)
    for word in ["spo", "draw", "look", "size", "quiet"] {
      #expect(script.contains(word), "\(shell) \(word)")
    }
  }

  @Test("quotes and brackets in help do not end a word of the script")
  func quoting() {
    #expect(
      ShellCompletion.zsh.script(program: "spo", commands)
        .contains("'--size[width (and height)\\: pixels]:WxH:_files'"))
    #expect(
      ShellCompletion.fish.script(program: "spo", commands)
        .contains("'Draw the user'\\''s picture.'"))
  }
}

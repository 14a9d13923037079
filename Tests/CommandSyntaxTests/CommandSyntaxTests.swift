import CommandSyntax
import Testing

struct CommandSyntaxTests {
  private let syntax = CommandSyntax(
    name: "draw", summary: "Draw a picture.",
    operands: [
      CommandSyntax.Operand("MODEL"), CommandSyntax.Operand("FILE", isOptional: true),
    ],
    options: [
      .value("size", "WxH", "of the picture"),
      .value("lora", "FILE", isRepeatable: true, "adapter"),
      .value("text", "STR", "what to draw"), .value("steps", "N", "of the sampler"),
      .flag("quiet", "say nothing"),
    ],
    examples: [("spo draw m --text fox", "a fox")])

  @Test("options and operands may be mixed")
  func mixed() throws {
    let arguments = try syntax.parse([
      "--lora", "a", "model", "--quiet", "--size=64x32", "--lora=b=c", "--steps", "7",
    ])
    #expect(arguments.operands == ["model"])
    #expect(arguments.values("lora") == ["a", "b=c"])
    #expect(arguments.has("quiet") && !arguments.has("text"))
    let size = try #require(try arguments.pair("size", separator: "x"))
    #expect(size == (64, 32))
    #expect(try arguments.int("steps") == 7)
    #expect(try arguments.double("steps") == 7)
  }

  @Test(
    "a value is taken as it is, whatever it begins with", arguments: ["", "--quiet", "-1", "--"])
  func verbatim(value: String) throws {
    #expect(try syntax.parse(["m", "--text", value]).required("text") == value)
  }

  @Test("an operand that is empty names nothing")
  func emptyOperand() {
    for (words, name) in [([""], "MODEL"), (["m", ""], "FILE")] {
      #expect(throws: UsageError(command: "draw", "\(name) is empty")) { try syntax.parse(words) }
    }
  }

  @Test("after -- nothing is an option")
  func endOfOptions() throws {
    #expect(try syntax.parse(["--", "--quiet", "-x"]).operands == ["--quiet", "-x"])
  }

  @Test("help is found anywhere but in the place of a value")
  func help() throws {
    #expect(try syntax.parse(["m", "--quiet", "--help"]).wantsHelp)
    #expect(try syntax.parse(["-h"]).wantsHelp)
    #expect(try !syntax.parse(["m", "--text", "--help"]).wantsHelp)
    #expect(
      syntax.help == """
        Draw a picture.

        usage: spo draw MODEL [FILE] [options]

        options:
          --size WxH       of the picture
          --lora FILE ...  adapter
          --text STR       what to draw
          --steps N        of the sampler
          --quiet          say nothing

        example:
          # a fox
          spo draw m --text fox
        """)
  }

  @Test(
    "a wrong call is told what is wrong",
    arguments: [
      (["m", "--sise", "1x1"], "unknown option --sise; did you mean --size WxH?"),
      (["m", "-s"], "unknown option -s; options start with --"),
      (["m", "--size"], "--size needs a value: WxH"),
      (["m", "--quiet=1"], "--quiet takes no value"),
      (["m", "--text", "a", "--text", "b"], "--text was given twice"),
      ([], "MODEL is missing"),
      (["m", "f", "x"], "unexpected \"x\""),
    ])
  func wrongCalls(words: [String], problem: String) {
    #expect(throws: UsageError(command: "draw", problem)) { try syntax.parse(words) }
  }

  @Test(
    "an option under the name that other programs give it, cut short or with a word too many, is told",
    arguments: [
      ("negative-prompt", "negative STR"), ("negative_prompt", "negative STR"),
      ("num-inference-steps", "steps N"), ("num_inference_steps", "steps N"),
      ("guidance-scale", "guidance X"), ("cfg_scale", "guidance X"), ("width", "size WxH"),
      ("output", "out FILE"), ("lora_scale", "lora-scale X"), ("lora-weight", "lora-scale X"),
      ("lora-scales", "lora-scale X"), ("negative-lora-scale", "negative-lora FILE[=W]"),
      ("negative-text", "negative STR"), ("sed", "seed N"), ("guid", "guidance X"),
      ("Steps", "steps N"),
    ])
  func otherNames(name: String, meant: String) {
    let syntax = CommandSyntax(
      name: "draw", summary: "",
      options: [
        .value("lora", "FILE", ""), .value("lora-scale", "X", ""),
        .value("negative-lora", "FILE[=W]", ""), .value("negative", "STR", ""),
        .value("seed", "N", ""), .value("steps", "N", ""), .value("guidance", "X", ""),
        .value("size", "WxH", ""), .value("out", "FILE", ""),
      ], examples: [])
    #expect(
      throws: UsageError(command: "draw", "unknown option --\(name); did you mean --\(meant)?")
    ) { try syntax.parse(["--\(name)", "1"]) }
  }

  @Test("a value of the wrong form is told the right one")
  func wrongValues() throws {
    let arguments = try syntax.parse(["m", "--size", "64", "--steps", "many"])
    #expect(throws: UsageError(command: "draw", "--size must be of the form WxH, but is \"64\"")) {
      try arguments.pair("size", separator: "x")
    }
    let wanted = "--steps must be an integer of at least 1, but is \"many\""
    #expect(throws: UsageError(command: "draw", wanted)) {
      try arguments.int("steps", in: 1...Int.max)
    }
    let missing = #expect(throws: UsageError.self) { try arguments.required("text") }
    #expect(missing?.description == "spo draw: --text is missing (see spo draw --help)")
  }
}

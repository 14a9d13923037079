import CommandSyntax
import Diffusion
import Files

/// `spo tokenize`: prints the token ids of texts.
enum Tokenize: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "tokenize", summary: "Print the token ids of a text as a JSON array.", operands: [],
      options: [
        .value("model", "DIR", "a model folder with a tokenizer, or a tokenizer's folder"),
        .value("text", "STR", "the text, verbatim"),
        .value(
          "prompts", "FILE",
          "instead of a text: a JSON list of texts or of {\"caption\": text}; one array per line"),
      ],
      examples: [
        ("spo tokenize --model data/tiny-sd --text \"a red circle\"", "padded to full length")
      ])
  }

  static func run(_ arguments: Arguments) throws {
    let model = try arguments.modelFolder(isOfDiffusion: false)
    let part = ["tokenizer", "tokenizer_2"].first(where: model.hasPart)
    let folder = part.map { "\(model.path)/\($0)" } ?? model.path
    let tokenizer = try Tokenizer(folder: folder)
    for text in try texts(arguments) {
      try Console.print(JSON.array(try tokenizer.encode(text).map { .integer($0) }).text())
    }
  }

  private static func texts(_ arguments: Arguments) throws -> [String] {
    guard let path = arguments.value("prompts") else { return [try arguments.required("text")] }
    guard !arguments.has("text") else {
      throw arguments.error("--text and --prompts cannot be used together")
    }
    return try JSONReader(try JSON(contentsOf: path), path: path).elements().map {
      $0.value.string == nil ? try $0.string("caption") : try $0.string()
    }
  }
}

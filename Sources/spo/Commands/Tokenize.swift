import CommandSyntax
import Diffusion
import Files

/// `spo tokenize`: the token ids of a text.
enum Tokenize: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "tokenize", summary: "Print the token ids of a text as a JSON array.", operands: [],
      options: [
        .value("model", "DIR", "a model folder with a tokenizer, or a tokenizer's folder"),
        .value("text", "STR", "the text, verbatim"),
      ],
      examples: [
        ("spo tokenize --model data/tiny-sd --text \"a red circle\"", "padded to full length")
      ])
  }

  static func run(_ arguments: Arguments) throws {
    let model = ModelFolder(path: try arguments.required("model"))
    let folder = model.hasPart("tokenizer") ? "\(model.path)/tokenizer" : model.path
    let ids = try Tokenizer(folder: folder).encode(try arguments.required("text"))
    Console.print(JSON.array(ids.map { .integer($0) }).text())
  }
}

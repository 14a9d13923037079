import CommandSyntax
import Files
import Imaging

/// `spo decode`: an image as the pipeline sees it.
enum Decode: Command {
  static var syntax: CommandSyntax {
    CommandSyntax(
      name: "decode", summary: "Decode an image exactly as the pipeline does, and write a PNG.",
      operands: [CommandSyntax.Operand("IMAGE")],
      options: [
        .value("out", "FILE", "the PNG to write"),
        .flag("keep-orientation", "do not apply the EXIF orientation"),
      ],
      examples: [("spo decode photo.jpg --out photo.png", "the pixels that the encoder gets")])
  }

  static func run(_ arguments: Arguments) throws {
    let path = arguments.operands[0]
    let output = try arguments.required("out")
    try OutputPlace.requireFile(output, ending: "png", besides: [path])
    let bytes = try RegularFile(path: path).readAll()
    let image: RGBImage
    do {
      image = try RGBImage(
        decoding: bytes, keepsOrientation: arguments.has("keep-orientation"))
    } catch {
      throw UnreadableImage(path: path, reason: error)
    }
    try AtomicFile.replace(output, with: try image.encodedAsPNG())
  }
}

/// An image that cannot be decoded, and its location.
struct UnreadableImage: ClassifiedError, CustomStringConvertible {
  let path: String
  let reason: ImageError
  var kind: FailureKind { .input }

  var description: String { "\(path): \(reason)" }
}

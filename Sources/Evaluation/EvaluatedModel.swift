import Autograd
public import Diffusion
public import Files
import Imaging
import PipelineCore
import TensorCore

/// A model to generate images with: its folder or file, plus LoRA files.
public struct EvaluatedModel: Sendable {
  public var folder: ModelFolder
  public var loraPaths: [String]
  /// Strength of each LoRA file.
  public var loraScales: [Float]

  /// - Parameter loraScales: of each file; nil: 1
  public init(_ folder: ModelFolder, loraPaths: [String] = [], loraScales: [Float]? = nil) {
    self.folder = folder
    self.loraPaths = loraPaths
    self.loraScales = loraScales ?? loraPaths.map { _ in 1 }
  }

  /// Reads all its parts, which stay in memory together.
  public func open() throws -> ImageGenerator {
    let adapters = ModelAdapters()
    for (path, strength) in zip(loraPaths, loraScales) {
      try LoRAFile(path: path).add(to: adapters, strength: strength)
    }
    return ImageGenerator(
      pipeline: try TextToImage(folder, adapters: loraPaths.isEmpty ? nil : adapters))
  }

  /// The names of its LoRA files beside its own, for people.
  var text: String {
    let loras = zip(loraPaths, loraScales).map { $1 == 1 ? $0 : "\($0) at \($1)" }
    return ([folder.path] + loras).joined(separator: " + ")
  }

  /// A digest of everything that its images depend on.
  func digest(_ digests: FileDigests) throws -> String {
    var files = folder.isFile ? [try digests.input(file: folder.path)] : []
    for suffix in ["", "_2"] where suffix.isEmpty || folder.hasPart("text_encoder\(suffix)") {
      files += try digests.inputs(
        folder: folder.tokenizerFolder("tokenizer\(suffix)").path, as: "tokenizer")
      if !folder.isFile {
        files += try digests.inputs(
          folder: "\(folder.path)/text_encoder\(suffix)", as: "text_encoder")
      }
    }
    if !folder.isFile {
      // Of a VAE that is replaced, what a single file in its place does not say is still read.
      for part in ["unet", "vae", "scheduler"]
      where folder.autoencoderPath == nil || Folders.exists("\(folder.path)/\(part)") {
        files += try digests.inputs(folder: "\(folder.path)/\(part)", as: part)
      }
    }
    if let vae = folder.autoencoderPath {
      files +=
        try folder.autoencoderFolder.map { try digests.inputs(folder: $0, as: "vae") }
        ?? [digests.input(file: vae)]
    }
    files += try loraPaths.map { try digests.input(file: $0) }
    // Where the files lie makes no difference, their order does.
    let strengths = Set(loraScales).count > 1 ? loraScales : [loraScales.first ?? 1]
    let content = files.map(\.identity) + strengths.map { "\($0)" }
    return SHA256.hexDigest(of: Array(content.joined(separator: "\n").utf8))
  }
}

/// A model in memory.
public struct ImageGenerator {
  let pipeline: TextToImage

  /// The image that `spo sample` generates, as a PNG file.
  ///
  /// - Throws: `GenerationError.notFinite` if the model gives what is no number
  func png(_ request: TextToImage.Request, from source: some NormalSource) throws -> [UInt8] {
    var source = source
    let image = try pipeline(request, source: &source)
    guard
      let pixels = image.withValues({
        quantized($0, scale: 0.5, shift: 0.5, rounding: .toNearestOrEven)
      })
    else { throw GenerationError.notFinite(prompt: request.prompt) }
    return try RGBImage(
      width: image.shape[2], height: image.shape[1], pixels: pixels
    ).encodedAsPNG()
  }
}

/// What is wrong with an image.
public enum GenerationError: ClassifiedError, Equatable, CustomStringConvertible {
  case notFinite(prompt: String)

  public var kind: FailureKind { .notFinite }

  public var description: String {
    switch self {
    case .notFinite(let prompt):
      "an image of \"\(prompt)\" contains numbers that are not finite; are the weights of the model and "
        + "of its LoRA files sound?"
    }
  }
}

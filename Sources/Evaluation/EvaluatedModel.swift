import Autograd
public import Diffusion
public import Files
import Imaging
public import NN
import PipelineCore
import RandomStreams
import TensorCore

/// A model to generate images with: its folder or file, plus LoRA files.
public struct EvaluatedModel: Sendable {
  public var folder: ModelFolder
  public var loraPaths: [String]
  /// The strength of each LoRA file.
  public var loraScales: [Float]
  /// LoRA files added only in the unconditional half of guidance.
  public var negativeLoRAs: [NegativeLoRA]

  /// - Parameter loraScales: the scale of each file; nil: 1
  public init(
    _ folder: ModelFolder, loraPaths: [String] = [], loraScales: [Float]? = nil,
    negativeLoRAs: [NegativeLoRA] = []
  ) {
    self.folder = folder
    self.loraPaths = loraPaths
    self.loraScales = loraScales ?? loraPaths.map { _ in 1 }
    self.negativeLoRAs = negativeLoRAs
  }

  /// Returns the adapters of the model; nil if it has no LoRA files.
  public func adapters() throws -> ModelAdapters? {
    guard !loraPaths.isEmpty else { return nil }
    let adapters = ModelAdapters()
    for (path, strength) in zip(loraPaths, loraScales) {
      try LoRAFile(path: path).add(to: adapters, strength: strength)
    }
    return adapters
  }

  /// Returns the U-Net's adapters for the unconditional half of guidance; nil: the same as for the
  /// other half.
  public func negativeAdapters() throws -> AdapterSet? {
    guard !negativeLoRAs.isEmpty else { return nil }
    let set = AdapterSet()
    for (path, strength) in zip(loraPaths, loraScales) {
      try LoRAFile(path: path).addUNetAdapters(to: set, strength: strength)
    }
    for lora in negativeLoRAs {
      let file = try LoRAFile(path: lora.path)
      try file.requireUNetAlone()
      try file.addUNetAdapters(to: set, strength: lora.weight)
    }
    return set
  }

  /// Loads all its parts, which stay in memory together.
  public func open() throws -> ImageGenerator {
    ImageGenerator(
      pipeline: try TextToImage(
        folder, adapters: adapters(), negativeAdapters: negativeAdapters()))
  }

  /// The model's and its LoRA files' names, for display.
  var text: String {
    let loras = zip(loraPaths, loraScales).map { $1 == 1 ? $0 : "\($0) at \($1)" }
    let negative = negativeLoRAs.map { "negative \($0.text)" }
    return ([folder.path] + loras + negative).joined(separator: " + ")
  }

  /// Returns a digest of everything that its images depend on.
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
      // A replaced VAE's configuration is still read if its replacement is a single file.
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
    // The location of the files makes no difference, their order does.
    let strengths = Set(loraScales).count > 1 ? loraScales : [loraScales.first ?? 1]
    let negative = try negativeLoRAs.map {
      "negative \(try digests.input(file: $0.path).identity) \($0.weight)"
    }
    let content = files.map(\.identity) + strengths.map { "\($0)" } + negative
    return SHA256.hexDigest(of: Array(content.joined(separator: "\n").utf8))
  }
}

/// A LoRA file only for the unconditional half of guidance, trained to prefer what people do not.
///
/// - Source: Diffusion-NPO, Wang et al. 2025, arXiv 2505.11245
public struct NegativeLoRA: Sendable, Equatable {
  public var path: String
  public var weight: Float

  public init(path: String, weight: Float = 1) {
    self.path = path
    self.weight = weight
  }

  /// - Parameter text: a path, or a path and a weight: `FILE=0.5`
  public init(_ text: String) {
    if let mark = text.lastIndex(of: "="), let weight = Float(text[text.index(after: mark)...]),
      weight.isFinite
    {
      self.init(path: String(text[..<mark]), weight: weight)
    } else {
      self.init(path: text)
    }
  }

  var text: String { weight == 1 ? path : "\(path) at \(weight)" }
}

/// A model in memory.
public struct ImageGenerator {
  let pipeline: TextToImage

  /// Generates the image of `spo sample`, as a PNG file.
  ///
  /// - Throws: `GenerationError.notFinite` if the model's output is not finite
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

/// A problem with an image.
public enum GenerationError: ClassifiedError, Equatable, CustomStringConvertible {
  case notFinite(prompt: String)

  public var kind: FailureKind { .notFinite }

  public var description: String {
    switch self {
    case .notFinite(let prompt):
      "an image of \"\(prompt)\" contains non-finite numbers; are the weights of the model and "
        + "of its LoRA files intact?"
    }
  }
}

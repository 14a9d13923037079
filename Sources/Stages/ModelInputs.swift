import Diffusion
import PipelineCore

extension ModelFolder {
  /// The files of some parts of a model, as inputs of a stage.
  ///
  /// For a model that is a single file that is the file, and the folder of its tokenizer where a
  /// tokenizer is among the parts.
  ///
  /// - Throws: `OriginalCheckpointError.noTokenizer` where it is needed and missing
  func inputs(_ parts: [String], _ digests: FileDigests) throws -> [StageInput] {
    var inputs = isFile ? [try digests.input(file: path)] : []
    for part in parts {
      if part.hasPrefix("tokenizer") {
        inputs += try digests.inputs(folder: try tokenizerFolder(part).path)
      } else if !isFile {
        inputs += try digests.inputs(folder: "\(path)/\(part)")
      }
    }
    return inputs
  }

  /// The folders of text encoders and of their tokenizers.
  var textParts: [String] {
    let parts = ["text_encoder", "tokenizer"]
    return hasPart("text_encoder_2") ? parts + parts.map { "\($0)_2" } : parts
  }
}

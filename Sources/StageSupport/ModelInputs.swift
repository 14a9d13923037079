import Diffusion
package import PipelineCore
import PreferenceModels

extension ModelFolder {
  /// The files of some parts of a model, as inputs of a stage.
  ///
  /// For a model that is a single file that is the file, and the folder of its tokenizer where a
  /// tokenizer is among the parts. Their names do not say where the model lies.
  ///
  /// - Throws: `OriginalCheckpointError.noTokenizer` where it is needed and missing
  package func inputs(_ parts: [String], _ digests: FileDigests) throws -> [StageInput] {
    var inputs = isFile ? [try digests.input(file: path, as: "model")] : []
    for part in parts {
      if part.hasPrefix("tokenizer") {
        inputs += try digests.inputs(folder: try tokenizerFolder(part).path, as: "model/\(part)")
      } else if !isFile {
        inputs += try digests.inputs(folder: "\(path)/\(part)", as: "model/\(part)")
      }
    }
    return inputs
  }

  /// The files of a preference model.
  ///
  /// A file of weights is read with its configuration, which lies beside it; nothing else there is.
  ///
  /// - Parameter name: what the model is to the stage
  package func preferenceInputs(_ digests: FileDigests, as name: String) throws -> [StageInput] {
    let (folder, weights) = preferenceFiles()
    guard let weights else { return try digests.inputs(folder: folder, as: name) }
    return try [digests.input(file: weights, as: name)]
      + ["config.json", "preprocessor_config.json"].map {
        try digests.input(file: "\(folder)/\($0)", as: "\(name)/\($0)")
      }
  }

  /// The folders of text encoders and of their tokenizers.
  package var textParts: [String] {
    let parts = ["text_encoder", "tokenizer"]
    return hasPart("text_encoder_2") ? parts + parts.map { "\($0)_2" } : parts
  }
}

import Diffusion
package import PipelineCore
import PreferenceModels

extension ModelFolder {
  /// The files of some parts of a model, as inputs of a stage.
  ///
  /// For a model that is a single file that is the file, and the folder of its tokenizer where a
  /// tokenizer is among the parts. Their names do not say where the model lies.
  ///
  /// - Throws: `LDMCheckpointError.noTokenizer` where it is needed and missing
  package func inputs(_ parts: [String], _ digests: FileDigests) throws -> [StageInput] {
    var inputs = isFile ? [try digests.input(file: path, as: "model")] : []
    for part in parts {
      if part == "vae", autoencoderPath != nil {
        inputs += try autoencoderInputs(digests)
      } else if part.hasPrefix("tokenizer") {
        inputs += try digests.inputs(folder: try tokenizerFolder(part).path, as: "model/\(part)")
      } else if !isFile {
        inputs += try digests.inputs(folder: "\(path)/\(part)", as: "model/\(part)")
      }
    }
    return inputs
  }

  /// The files of the autoencoder that is given in place of the model's own; none where there is no such.
  ///
  /// What a single file does not say is taken from the configuration of the one that it replaces.
  package func autoencoderInputs(_ digests: FileDigests) throws -> [StageInput] {
    guard let autoencoderPath else { return [] }
    if let folder = autoencoderFolder { return try digests.inputs(folder: folder, as: "vae") }
    let replaced = "\(path)/vae/config.json"
    return [try digests.input(file: autoencoderPath, as: "vae")]
      + (isFile ? [] : [try digests.input(file: replaced, as: "model/vae/config.json")])
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

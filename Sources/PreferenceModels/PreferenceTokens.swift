public import Diffusion
import Files
import Foundation

extension ModelFolder {
  /// Rejects a pixel preference model that was not trained on a tokenizer's ids.
  ///
  /// Prompts are tokenized once, by the diffusion model's tokenizer; in another vocabulary the same
  /// ids are other words. Tokens that were added to the tokenizer are ignored: a prompt that
  /// contains one is rejected when it is read.
  ///
  /// - Parameter base: the diffusion model
  /// - Throws: `PreferenceConfigurationError.otherTokenizer`
  public func requirePreferenceTokens(of base: ModelFolder) throws {
    let folder = preferenceFiles().folder
    let text = try preferenceConfiguration().text
    let tokenizer = try base.tokenizer()
    let place = try base.tokenizerFolder("tokenizer").path
    func refuse(_ path: String, _ reason: String) -> PreferenceConfigurationError {
      .otherTokenizer(path: path, reason: reason, tokenizer: place)
    }
    let path = "\(folder)/config.json"
    guard [tokenizer.vocabularySize, tokenizer.ownVocabularySize].contains(text.vocabularySize)
    else {
      throw refuse(
        path,
        "text_config.vocab_size is \(text.vocabularySize), but the diffusion model's tokenizer has "
          + "\(tokenizer.vocabularySize) tokens")
    }
    guard tokenizer.length <= text.tokens else {
      throw refuse(
        path,
        "text_config.max_position_embeddings is \(text.tokens), but the diffusion model's tokenizer "
          + "pads to \(tokenizer.length) tokens")
    }
    // Many come with their own tokenizer.
    for own in [folder, "\(folder)/tokenizer"] where Self.holdsTokenizer(own) {
      guard try Tokenizer(folder: own).hasSameVocabulary(as: tokenizer) else {
        throw refuse(own, "its tokenizer gives different ids from the diffusion model's")
      }
    }
  }

  private static func holdsTokenizer(_ folder: String) -> Bool {
    ["vocab.json", "tokenizer.json"].contains {
      FileManager.default.fileExists(atPath: "\(folder)/\($0)")
    }
  }

  /// Rejects a latent preference model whose text encoders do not support the ids of a diffusion
  /// model's tokenizers.
  public func requireLatentPreferenceTokens(of base: ModelFolder) throws {
    _ = try PromptEncoderConfiguration(hasPart("text_encoder") ? self : base, tokenizers: base)
    let path = "\(self.path)/tokenizer"
    guard Self.holdsTokenizer(path) else { return }
    guard try Tokenizer(folder: path).hasSameVocabulary(as: base.tokenizer()) else {
      throw PreferenceConfigurationError.otherTokenizer(
        path: path, reason: "its tokenizer gives different ids from the diffusion model's",
        tokenizer: try base.tokenizerFolder("tokenizer").path)
    }
  }
}

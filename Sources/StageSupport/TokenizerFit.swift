import PreferenceModels

/// Refuses preference models that read other tokens than the diffusion model's tokenizer makes; what is
/// missing or damaged is for others to say.
package func passingOtherTokenizers(_ check: () throws -> Void) throws {
  do {
    try check()
  } catch PreferenceConfigurationError.otherTokenizer(let path, let reason, let tokenizer) {
    throw PreferenceConfigurationError.otherTokenizer(
      path: path, reason: reason, tokenizer: tokenizer)
  } catch {}
}

import Foundation

/// The paths of a report's images and findings.
struct ReportFiles {
  let folder: String
  /// Scales of classifier-free guidance; the first one is omitted from names.
  let scales: [Float]

  /// What the names of a model's files end in.
  ///
  /// - Parameter scale: the index of the guidance in `scales`
  func name(_ model: ReportedModel, _ scale: Int) -> String {
    scale == 0 ? model.name : "\(model.name)-\(scales[scale])"
  }

  private func digits(_ prompt: Int) -> String { String(format: "%03d", prompt) }

  /// - Parameter scale: the index of the guidance in `scales`
  func image(_ prompt: Int, _ image: Int, _ model: ReportedModel, scale: Int) -> String {
    "\(folder)/\(relativePath(prompt, image, model, scale: scale))"
  }

  /// Returns the same relative to the report's page.
  func relativePath(
    _ prompt: Int, _ image: Int, _ model: ReportedModel, scale: Int
  ) -> String {
    "pictures/\(digits(prompt))-\(image)-\(name(model, scale)).png"
  }

  func scores(_ scorer: String, _ prompt: Int, _ model: ReportedModel, scale: Int) -> String {
    "\(folder)/scores/\(scorer)/\(digits(prompt))-\(name(model, scale)).json"
  }
}

import Foundation

/// Where a report keeps its images and what was found about them.
struct ReportFiles {
  let folder: String
  /// Scales of classifier-free guidance; the first one is not spelled in names.
  let scales: [Float]

  private func name(_ model: ReportedModel, _ scale: Int) -> String {
    scale == 0 ? model.name : "\(model.name)-\(scales[scale])"
  }

  private func digits(_ prompt: Int) -> String { String(format: "%03d", prompt) }

  /// - Parameter scale: the place of the guidance among `scales`
  func image(_ prompt: Int, _ image: Int, _ model: ReportedModel, scale: Int) -> String {
    "\(folder)/\(relativePath(prompt, image, model, scale: scale))"
  }

  /// The same as the report's page sees it.
  func relativePath(
    _ prompt: Int, _ image: Int, _ model: ReportedModel, scale: Int
  ) -> String {
    "pictures/\(digits(prompt))-\(image)-\(name(model, scale)).png"
  }

  func scores(_ scorer: String, _ prompt: Int, _ model: ReportedModel, scale: Int) -> String {
    "\(folder)/scores/\(scorer)/\(digits(prompt))-\(name(model, scale)).json"
  }
}

import Files
import Imaging
import ProceduralWorld
import StageSupport

/// The oracle's scores of all pictures before tuning and by one tuned model.
struct OracleComparison {
  let model: ReportedModel
  let prompts: Int
  let pictures: Int
  let aesthetics: PairedComparison
  let agreement: PairedComparison
  /// By prompt and picture, one after another.
  let before: [OracleScore]
  let after: [OracleScore]

  /// - Parameter groupSize: pictures of a prompt
  init(
    of model: ReportedModel, before: [OracleScore], after: [OracleScore], prompts: Int,
    groupSize: Int
  ) {
    self.model = model
    self.before = before
    self.after = after
    self.prompts = prompts
    pictures = before.count
    aesthetics = PairedComparison(
      before: before.map(\.aesthetics), after: after.map(\.aesthetics), groupSize: groupSize)
    agreement = PairedComparison(
      before: before.map(\.agreement), after: after.map(\.agreement), groupSize: groupSize)
  }

  /// The scores of one model's pictures, by prompt and picture, one after another.
  ///
  /// - Parameter picture: of a prompt's number and a picture's number
  static func scores(
    of prompts: [String], _ picturesPerPrompt: Int, picture: (Int, Int) throws -> RGBImage
  ) throws -> [OracleScore] {
    try prompts.enumerated().flatMap { index, prompt in
      let scene = try Scene(prompt: prompt)
      return try (0..<picturesPerPrompt).map { number in
        OracleScore(
          of: try Picture(
            try picture(index, number), name: "picture \(number) of \"\(prompt)\""),
          as: scene)
      }
    }
  }

  var json: JSON {
    [
      "prompts": .integer(prompts), "pictures": .integer(pictures),
      "aesthetics": aesthetics.json, "agreement": agreement.json,
    ]
  }
}

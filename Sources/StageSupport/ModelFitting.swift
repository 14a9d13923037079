import Checkpoints
package import Diffusion
package import PipelineCore

/// A stage whose settings may not suit the model they name: beyond its layers, its schedule or its size.
package protocol ModelFitting: Stage {
  /// Reads configurations, and no weights. What is missing or damaged is for others to say.
  ///
  /// - Throws: `PipelineError.badSetting`, `PreferenceConfigurationError.otherTokenizer`
  func checkFit() throws
}

extension ModelFolder {
  /// The scheduler that the model names; nil where it has none that can be read.
  package var readableScheduler: DDIMScheduler? {
    guard Folders.exists(path) else { return nil }
    return try? DDIMScheduler(pipelineSchedulerConfig())
  }

  /// Refuses a number of sampling steps that the schedule does not have.
  package func require(steps: Int, of setting: String) throws {
    guard let scheduler = readableScheduler else { return }
    do {
      _ = try scheduler.timesteps(stepCount: steps)
    } catch let error as SchedulerError {
      throw PipelineError.badSetting(path: setting, reason: "\(error)")
    }
  }

  /// Refuses timesteps that the schedule does not have.
  package func require(timestepLimit: Int, of setting: String) throws {
    guard let count = readableScheduler?.schedule.count, timestepLimit > count else { return }
    throw PipelineError.badSetting(
      path: setting,
      reason:
        "must be at most \(count), the number of timesteps of \(path), but is \(timestepLimit)")
  }

}

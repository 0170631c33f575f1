#include "trivium/speech.h"

namespace trivium {

v1::RecognizeResponse SpeechClient::Transcribe(const std::string& model, const v1::Media& recording,
                                               const CallOptions& options) const {
  v1::RecognizeRequest request;
  request.mutable_config()->set_model(model);
  *request.mutable_audio() = recording;
  return Recognize(request, options);
}

v1::SynthesizeResponse SpeechClient::Speak(const std::string& model, const std::string& text, const std::string& voice,
                                           const CallOptions& options) const {
  v1::SynthesizeRequest request;
  request.mutable_config()->set_model(model);
  request.mutable_config()->mutable_output_format()->set_encoding(v1::AUDIO_ENCODING_WAV);
  if (!voice.empty()) request.mutable_config()->mutable_voice()->set_voice_name(voice);
  request.mutable_input()->set_text(text);
  return Synthesize(request, options);
}

}  // namespace trivium

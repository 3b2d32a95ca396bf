### 中文

language-name = 中文
language-in-English = Chinese

word-more = 更多
word-clear = 清除
word-forget = 忘记我
word-language = 语言

## Every channel

answer-later = 我现在无法回答。您的消息已收到，我会尽快回复。
given-up = 很抱歉，您上一条消息未能回答。请稍后再发一次。
perhaps-lost = 我上一条消息可能没有完整送达。如有缺失，请再问我一次。
stopped-here = 已在此停止；发送“继续”，我会接着写
handed-over = 我已通知工作人员，他们会在这里回复您。
nobody-there = 现在没有工作人员在。我已留言，并继续为您解答。
nobody-there-until = 现在没有工作人员在，将于{ $day } { $time }回来。我已留言，并继续为您解答。
unknown-answer = 这个我不知道。
person-answers = 现在由工作人员回复您。
ai-answers = 现在又由 AI 回复您。
looks-like-a-machine = 这像是两台机器在对话，所以我暂时停止回复。如果您是真人，请稍后再发。
private = 这是私人号码，我无法回答。请联系号主添加您。

cannot-answer = 这个问题我无法回答。请换个方式提问。
question-too-long = 这条消息太长了。请发短一些的。
pictures-unsupported = 我还看不了图片。请用文字描述。
voice-unsupported = 我目前还听不了语音。请用文字写给我。
video-unsupported = 我目前还看不了视频。请用文字描述。
file-unsupported = 我打不开这个。请用文字描述。
file-too-large = 这个文件对我来说太大了。请用文字描述。
file-empty = 收到的文件是空的。请再发一次。
file-lost = 我没能打开你发来的内容。请再发一次。
voice-silent = 我没听到任何话。请再说一遍，或写给我。
set-up-wrongly = 未能回答。这不是您的问题：我这边有设置错误。
no-usable-answer = 未能得到可用的回答，已停止尝试。请换个方式提问。

over-day = 今天的消息太多了！请明天再发。
over-minute = 一次发的消息太多了！请等一分钟再发。
over-spending = 我暂时不能再回答。请改天再试。
over-user-spending = 今天只能发这么多。请明天再发。

name-empty = 名字至少要有一个字。
name-too-long = 名字太长了：请不要超过 { $limit } 个字符。
name-not-one-line = 名字必须在一行内，不能有换行、制表符或其他控制字符。
name-damaged = 名字中的一些字符已损坏。
name-reserved = 抱歉，{ $name } 在这里有特殊含义，不能用作名字。

language-set = 好的：从现在起我用中文写。
language-automatic = 好的：从现在起我用您使用的语言写。

## Operators

operator-sent = 已发送给 { $name }。AI 在那里保持沉默。
operator-not-sent = 未发送给 { $name }：{ $why }。
operator-unreachable = 现在联系不上
operator-handed-back = AI 重新回复 { $name }。
operator-waits = 等待您：{ $who }
operator-how-to-reply = 回复此消息即可答复对方；回复 /back 则由 AI 继续。

## SMS

sms-introduction = 这里是自动助手。
sms-introduction-of = 这里是 { $program } 的自动助手。
sms-contact = 联系方式：{ $contact }。
sms-ask-name =
    您好！{ $introduction }请问怎么称呼您？请发 名字=，例如：名字=小明
    发送 STOP 不再接收短信。
sms-welcome = 很高兴认识您，{ $name }！请随便问。改名请发 名字= 和新名字。
sms-renamed = 好的！以后我叫您 { $name }。
sms-how-to-name = 请这样再试：名字=小明
sms-back = 欢迎回来！请随便问。
sms-stopped = 您不会再收到此号码的短信。发送 START 可恢复。
sms-help =
    这是自动助手：发来问题，它会回答。发送 { word-clear } 忘记对话，{ word-forget } 连名字也忘记，{ word-language } 选择语言。发送 STOP 不再接收短信。
sms-only-at = 我只回复短信：请发短信到 { $number }。
sms-only = 我只回复短信。
sms-cleared = 好的：我已忘记我们的对话。发送 { word-forget }，我也会忘记您的名字。
sms-forgotten = 好的：我已忘记您和我们的对话。
sms-empty-text = 收到的短信是空的。请再发一次。
sms-too-long = 太长了：请不要超过 { $limit } 个字符。
sms-empty-answer = 抱歉，我没有答案。请换个说法。
sms-cut = 到此截断：短信太长。可以让我继续。
sms-more = 发送 { word-more } 查看其余内容。
sms-languages = 我用中文写。其他语言请发 语言= 和 { $codes } 之一；语言=auto 为您使用的语言。

## Telegram

telegram-hello = 您好，**{ $name }**！
telegram-hello-again = 欢迎回来，**{ $name }**！
telegram-welcome =
    { $hello }我是自动助手：请随便问。

    想换个称呼吗？请发 /setname 和您的名字。/help 列出我会做的事。
telegram-welcome-group = 大家好！我是自动助手：提到我或回复我，我就回答。/help 列出我会做的事。
telegram-help = 像对朋友一样写给我；我记得我们最近的消息。
telegram-unknown-command = 我不认识 /{ $command }。/help 列出我会做的事。
telegram-renamed = 谢谢！以后我叫您 **{ $name }**。
telegram-bad-name = 请这样试：/setname 小明
telegram-how-to-name = 请这样发：/setname 小明
telegram-private-name = 请在和我的私聊中告诉我您的名字。
telegram-cleared =
    { $count ->
        [0] 没有什么可忘记的。
       *[other] 好的：已删除 { $count } 条消息。
    }
telegram-topic-cleared = 好的：已删除此话题中我们的消息。
telegram-facts = **我所知道的关于您的信息**

    - 名字：{ $name }
    - Telegram 用户名：{ $username }
    - 聊天：{ $chat }
    - 首次出现：{ $since }
    - 保存的消息：{ $count }

    AI 能看到您的名字和我们最近的对话，最多 { $exchanges } 轮。/clear 删除我们的对话。
telegram-no-username = 无
telegram-edited = 我看到您编辑了一条消息。我只回答新消息，请再发一次。
telegram-empty-text = 在的。请写下您的问题，我来回答。
telegram-late-answer = 您写这条消息时我无法接收，所以回复晚了。
telegram-nothing-to-stop = 我现在没有在写。
telegram-admins-only = 只有本群管理员可以这样做。
telegram-admins-unknown = 我无法确认您是否是这里的管理员。请再试一次。
telegram-cut = 回答更长，其余部分已省略。
telegram-empty-answer = 回答是空的。
telegram-languages = 我用**中文**写。其他语言请发 /language 和代码，例如 /language en：
telegram-language-automatic = 您使用的语言
telegram-press-stop = 停止
telegram-press-continue = 继续
telegram-press-again = 重答
telegram-press-shorter = 简短些
telegram-press-longer = 详细些
telegram-press-forget = 全部删除
telegram-press-keep = 取消
telegram-part-of-above = （此内容现已并入上面的回答。）
telegram-button-gone = 该按钮已失效。
telegram-button-old = 该回答太旧，无法更改。请再问一次，我会重新回答。
telegram-button-of-others = 只有提问者可以使用这些按钮。
telegram-forget-question = 这将删除我在此保存的关于您的一切：我们的消息、您的名字、您的设置。无法恢复。要全部删除吗？
telegram-forgotten = 好的：我在此保存的关于您的一切都已删除。
telegram-kept = 没有删除任何内容。
telegram-please-repeat = 请作为新消息再发一次。
telegram-one-model = 这里由一个模型回答，无法选择。
telegram-models-unknown = 我无法查到有哪些模型。请再试一次。
telegram-export-formats = 我可以写成 md 或 json：/export json
telegram-nothing-to-export = 还没有可导出的内容。
telegram-exported-you = 您
telegram-exported-assistant = 助手
telegram-models = **可选的模型**
telegram-model-now = 当前
telegram-models-more = 以及另外 { $count } 个
telegram-choose-model = 这样选择：/model 名称
telegram-no-such-model = 没有可选的模型 { $name }。
telegram-model-chosen = 从现在起由 `{ $name }` 回答您。
telegram-usage = **今天**（UTC）：{ $count } 个问题，{ $usd } 美元。
telegram-usage-limit = 24 小时内可提问 { $limit } 次。
telegram-exported = 这是我们的对话：{ $count } 条消息。
telegram-code-in-file = 代码在文件 **{ $name }** 中（{ $count } 行）。

## WhatsApp

whatsapp-stopped = 您不会再收到此号码的消息。发送 START 可恢复。
whatsapp-help = 我是自动助手：写下问题，我来回答。发送 { word-clear } 忘记对话，{ word-forget } 连名字也忘记，{ word-language } 选择语言。发送 STOP 不再接收消息。
whatsapp-cleared = 好的：我已忘记我们的对话。发送 { word-forget }，我也会忘记您的名字。
whatsapp-empty-text = 收到的消息是空的。请再发一次。
whatsapp-cut = 到此截断：消息太长。可以让我继续。

## The demo, which answers while no AI is connected. Markdown; names of settings stay as they are

demo-hello = 您好！
demo-hello-name = 您好，{ $name }！
demo-introduction =
    我是这个程序的演示：**不是 AI**，只有一份不用联网的简短问答。您可以试试：

    - “你能做什么？”
    - “我刚才说了什么？”
    - “怎么接入 AI？”
demo-abilities = 没有 AI 时我只能回答几个问题：这是什么、费用多少、怎么接入真正的 AI。
demo-how-to-connect = 我**不是 AI**，只是一个按简短问答回复的演示。要接入真正的 AI，请在 `.env` 文件中设置 `OPENROUTER_API_KEY`，或在本机启动 Ollama。
demo-nothing-earlier = 这是我能看到的您的第一条消息。请稍后再问我：“我刚才说了什么？”
demo-unseen = 我看不到也听不到您附带的内容：我**不是 AI**，只是一个演示。
demo-no-answer = 这个问题我答不上来：我只是一个带简短问答的演示，不是 AI。您可以问“你能做什么？”或“怎么接入 AI？”
demo-quoted = 摘自*{ $title }*：
demo-thanks = 不客气！
demo-goodbye = 再见！欢迎随时再来。

## The menu of Telegram

menu-start = 打个招呼
menu-help = 我会做什么
menu-stop = 停止我正在写的回答
menu-setname = 告诉我您的名字：/setname 小明
menu-language = 选择我的语言
menu-clear = 忘记我们的对话
menu-status = 我知道您的哪些信息
menu-model = 由哪个 AI 模型回答
menu-usage = 您今天的用量
menu-export = 将我们的对话存为文件：/export json
menu-forget = 删除我保存的关于您的一切
menu-admin = 本机器人的数据
